#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/server.hpp"
#include "memory/value.hpp"
#include "sim/agenda.hpp"

namespace redismutex::sim {

using memory::Server;
using memory::Value;

class Bell;
class Peer;
class Process;
class World;

/// One command in flight and the place for its answer.
struct Call {
  Bell* bell = nullptr;  ///< rung when the answer is there, or the link broke
  bool answered = false;
  Value reply = {};
};

/// A connection between a process and the server. What is sent in one direction arrives in order, if at all; different
/// connections, and directions, know no order.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(World& world, Process& process, Peer& peer) : world_{world}, process_{process}, peer_{peer} {}

  /// Dialled: the server knows it from now on.
  void open();

  struct Outgoing {
    std::shared_ptr<Call> call;  ///< none: nobody wants the answer
    std::vector<std::string> command;
  };
  void send(std::vector<Outgoing> commands);

  bool broken() const noexcept { return broken_; }

  /// Whether requests may go there.
  bool usable() const noexcept { return !broken_ && !refusal_; }

  /// Why the server was left, if it was.
  const std::string* refusal() const noexcept { return refusal_ ? &*refusal_ : nullptr; }
  Server::Connection id() const noexcept { return connection_; }

  /// A thread that waits for what comes, and is rung when the link breaks. While there is none, and nothing is in flight, nobody reads.
  void add_reader(Bell& bell);
  void remove_reader(Bell& bell);

  /// Takes in what has arrived by now.
  void read_now();

  /// The client gives it up: nothing that comes later is looked at.
  void fail();

  /// The client takes no new request there; what is in flight is still answered, then it closes the connection.
  void retire(std::string refusal);

  enum class Cut { reset, silent, deaf };

  /// Breaks it. `reset`: the client learns at once. `silent`: nothing gets through any more, and nobody is told. `deaf`: the
  /// server hears the client, but not the other way. Requests under way may arrive or not; the server takes the connection
  /// for alive until `server_learns`.
  void cut(Cut how, bool requests_arrive, Time server_learns);

  /// The process ended: the kernel closes it, or nobody does if the machine is gone (then the server learns later).
  void abandon(Time server_learns);

  void reset_by_server();
  void server_was_demoted();
  void server_sends(Value value);

 private:
  Time arrival(Time& last);
  void arrive(Value value);
  void plan_reading();
  void read();
  void take_in(Value value);
  void close();

  World& world_;
  Process& process_;
  Peer& peer_;
  Server::Connection connection_ = 0;
  bool broken_ = false;
  std::optional<std::string> refusal_;
  bool sends_work_ = true;  // what is sent now
  bool up_works_ = true;    // what is under way
  bool down_works_ = true;
  Time last_up_{0}, last_down_{0};
  bool reading_planned_ = false;
  std::deque<Value> arrived_;
  std::deque<std::shared_ptr<Call>> in_flight_;  // none: for an answer that nobody wants
  std::vector<Bell*> readers_;
};

}  // namespace redismutex::sim
