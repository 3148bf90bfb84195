#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/failure.hpp"
#include "protocol/exchange.hpp"
#include "route/environment.hpp"
#include "route/procedure.hpp"
#include "route/server.hpp"
#include "sim/bell.hpp"
#include "sim/link.hpp"
#include "sim/task.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

using net::Failure;

/// Asks a thread to give up what it does.
struct Stop {
  Bell* bell = nullptr;
  bool requested = false;
};

/// The server as a process knows it, and the link to it. Carries out the steps of procedures over the simulated network, as
/// route::Peer and net::Node do over a real one.
class Peer {
 public:
  /// What the process is told, by whichever thread reads or dials.
  class Listener {
   public:
    virtual void take_push(const Value& push) = 0;
    virtual void linked(const net::Greeting& greeting) = 0;
    virtual void link_broke() = 0;

   protected:
    ~Listener() = default;
  };

  Peer(World& world, Process& process, Listener& listener, route::Environment& environment, bool takes_it_for_old);

  route::Server& server() noexcept { return server_; }

  /// Drives it until it is done. `bell`: the thread's, by which others wake the procedure.
  Task<> drive(Bell& bell, route::Procedure& procedure, Stop* stop = nullptr);

  /// The live link, dialled if need be.
  Task<std::variant<std::shared_ptr<Link>, Failure>> reach(Bell& bell, Time deadline, Stop* stop);
  std::shared_ptr<Link> present_link() const;

  /// Leaves the server, because it is the wrong one.
  void leave(const std::shared_ptr<Link>& link, std::string_view refusal);

  // Trouble.
  void cut();
  void abandon(bool with_its_machine);

  // For Link:
  void take_push(const Value& push) { listener_.take_push(push); }
  void link_broke(const Link& link);
  void stays_at_a_demoted_server() { lose_connection("at-a-demoted-server"); }

  static constexpr Time connect_timeout = std::chrono::seconds{2};
  static constexpr Time command_timeout = std::chrono::seconds{2};

 private:
  class Drive;

  Task<bool> dial(Bell& bell, Time deadline);
  net::Greeting greeting(Server::Connection connection) const;
  void lose_connection(const char* how);
  Time pause_after_failure();

  World& world_;
  Process& process_;
  Listener& listener_;
  const bool takes_it_for_old_;
  route::Server server_;
  std::shared_ptr<Link> link_;
  bool dialling_ = false;
  bool reached_before_ = false;
  unsigned failures_ = 0;
  Time next_attempt_{0};
  bool connection_lost_ = false;
};

/// In the protocol layer's terms; a view of the value.
protocol::Answer view(const Value& value);

}  // namespace redismutex::sim
