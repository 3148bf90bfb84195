#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <redismutex/connection_options.hpp>
#include <span>
#include <stop_token>
#include <string>
#include <variant>

#include "net/link.hpp"
#include "net/node.hpp"
#include "net/workers.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/server.hpp"
#include "route/sleeper.hpp"

namespace redismutex::route {

/// The way to one server: the link to it, and how it is dialled. Thread-safe.
class Peer {
 public:
  using OnAnswered = std::function<void(std::span<const Procedure::Command>, std::chrono::nanoseconds)>;

  struct Handlers {
    net::Node::Handlers node;
    /// The name of a new connection, see net::Dialler.
    std::function<std::string(const net::Greeting&)> name_connection;
    /// What a caller sent, and how long it waited for the answers; in its own thread.
    OnAnswered on_answered;
  };

  /// What it is given must outlive it.
  Peer(ConnectionOptions options, Server& server, net::ReactorOnDemand& reactor, Handlers handlers);

  Server& server() noexcept { return server_; }
  const ConnectionOptions& options() const noexcept { return node_.options(); }

  /// See net::Node.
  std::variant<std::shared_ptr<net::Link>, Failure> link(protocol::Instant until, const std::stop_token& stop);
  std::shared_ptr<net::Link> present_link() { return node_.present_link(); }

  /// Of one that is not there: why.
  net::Failure why_absent() { return node_.why_absent(); }
  void verify(const std::stop_token& stop) { node_.verify(stop); }
  void leave(const std::shared_ptr<net::Link>& link, const Procedure::Leave& leave) {
    node_.drop(link, {leave.kind, std::string{leave.refusal}});
  }

  /// None: nobody wants to know.
  const OnAnswered& on_answered() const noexcept { return on_answered_; }

 private:
  Server& server_;
  const OnAnswered on_answered_;
  net::Node node_;
};

/// Drives it on the caller's stack until it is done, at the servers that its steps name, each of which has a Peer. `sleeper`: the
/// caller's, by which others wake the procedure. Throws what the procedure throws, std::bad_alloc, and std::system_error if there is no
/// thread or descriptor to be had.
void drive(Procedure& procedure, Sleeper& sleeper, const std::stop_token& stop = {});

/// Sends the commands in one write. `make_call`: for each whose answer is wanted.
template <class MakeCall>
void send_commands(net::Link& link, std::span<const Procedure::Command> commands, const MakeCall& make_call) {
  constexpr std::size_t most_usually = 4;
  constexpr std::size_t most = 40;
  std::size_t count = 0;
  for (const Procedure::Command& command : commands) count += static_cast<std::size_t>(command.times);
  const auto fill_and_send = [&](auto room) {
    std::size_t filled = 0;
    for (const Procedure::Command& command : commands) {
      for (int i = 1; i < command.times; ++i) room.at(filled++) = {nullptr, command.arguments};
      room.at(filled++) = {command.wanted ? make_call() : nullptr, command.arguments};
    }
    link.send({room.data(), filled});
  };
  if (count == 1) return fill_and_send(std::array<net::Link::Outgoing, 1>{});
  if (count <= most_usually) return fill_and_send(std::array<net::Link::Outgoing, most_usually>{});
  fill_and_send(std::array<net::Link::Outgoing, most>{});
}

/// What drivers tell a procedure: of the present link, if there is one; and of commands that have no answer for this reason, because a
/// server that was left took no more requests.
Procedure::Event reached(Peer& peer, const std::shared_ptr<net::Link>& link);
Procedure::Event unanswered(Failure failure);

/// How many answers are wanted.
std::size_t count_wanted(const Procedure::Send& send) noexcept;

/// In the protocol layer's terms; a view of the reply.
protocol::Answer view(net::ReplyView reply);

}  // namespace redismutex::route
