#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/agenda.hpp"
#include "sim/server.hpp"
#include "sim/value.hpp"

namespace redismutex::sim {

class Bell;
class Process;
class World;

/// One command in flight and the place for its answer.
struct Call {
  Bell* bell = nullptr;            ///< rung when the answer is there, or the link broke
  std::function<void()> on_reply;  ///< for calls that nobody waits for
  bool is_wanted = false;          ///< somebody looks at the answer
  bool answered = false;
  Value reply = {};
};

/// Whether it says that the server did not carry the command out, so that it may be sent again, there or elsewhere.
bool is_not_carried_out(const Value& reply);

/// A connection between a process and the server. What is sent in one direction arrives in order, if at all; different
/// connections, and directions, know no order.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(World& world, Process& process) : world_{world}, process_{process} {}

  /// Dialled: the server knows it from now on.
  void open();

  struct Outgoing {
    std::shared_ptr<Call> call;  ///< none: nobody wants the answer
    std::vector<std::string> command;
  };
  void send(std::vector<Outgoing> commands);

  bool broken() const noexcept { return broken_; }
  Server::Connection id() const noexcept { return connection_; }

  /// The client gives it up: nothing that comes later is looked at.
  void fail();

  enum class Cut { reset, silent, deaf };

  /// Breaks it. `reset`: the client learns at once. `silent`: nothing gets through any more, and nobody is told. `deaf`: the
  /// server hears the client, but not the other way. Requests under way may arrive or not; the server takes the connection
  /// for alive until `server_learns`.
  void cut(Cut how, bool requests_arrive, Time server_learns);

  /// The process ended: the kernel closes it, or nobody does if the machine is gone (then the server learns later).
  void abandon(Time server_learns);

  /// The client closes it.
  void close();

  void reset_by_server();
  void server_was_demoted();
  void server_sends(Value value);

 private:
  Time arrival(Time& last);
  void arrive(Value value);
  void read();

  World& world_;
  Process& process_;
  Server::Connection connection_ = 0;
  bool broken_ = false;
  bool sends_work_ = true;  // what is sent now
  bool up_works_ = true;    // what is under way
  bool down_works_ = true;
  Time last_up_{0}, last_down_{0};
  bool reading_planned_ = false;
  std::deque<Value> arrived_;
  std::deque<std::shared_ptr<Call>> in_flight_;
};

}  // namespace redismutex::sim
