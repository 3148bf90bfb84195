#pragma once

#include <atomic>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <string>
#include <variant>

#include "engine/clock.hpp"
#include "engine/keeper.hpp"
#include "net/failure.hpp"
#include "net/link.hpp"
#include "net/node.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// What all copies of a Connection share: the server, and the threads for what happens while no caller is there.
class Session {
 public:
  explicit Session(ConnectionOptions options) : node_{std::move(options), [](const redisReply&) {}} {}

  /// Does what errands are due, all of them together within the patience of one operation.
  ~Session() { farewell_ = patience(); }

  /// What came of one request.
  struct Answered {
    net::Reply reply;
    protocol::Instant sent_at;
  };
  struct Unanswered {
    net::Failure failure;  ///< it was sent, and no answer came: whether the server carried it out is unknown
  };
  using Exchanged = std::variant<Answered, Unanswered, net::Failure>;

  /// Sends one request and waits for its answer; loads a script that the server does not know. The Failure means that no
  /// connection could be had, so nothing was sent.
  Exchanged exchange(const protocol::Request& request, net::Deadline deadline, const std::stop_token& stop);

  /// Drives a state machine of the protocol layer until it is done, or gives up with the reason. The machine then may
  /// have an effect that nobody was told of.
  template <class Machine>
  std::optional<net::Failure> run(Machine& machine, net::Deadline deadline, const std::stop_token& stop = {});

  /// Throws ConnectionError or ServerError when the server gives no sign of life.
  void ping();

  /// How long an operation that has no time limit of its own may take: to reach the server and to get an answer.
  net::Deadline patience() const;

  const std::string& server_name() const noexcept { return node_.name(); }

  /// Whether the caller is one of its threads.
  bool runs_this_thread() const noexcept { return timers_.runs_this_thread() || errands_.runs_this_thread(); }

  /// For what must happen on time.
  Keeper& timers() noexcept { return timers_; }

  /// For what may take its time, such as giving back a lock in the background while the server is away.
  Keeper& errands() noexcept { return errands_; }

 private:
  std::optional<net::Failure> pause(protocol::Instant until, net::Deadline deadline, const std::stop_token& stop);

  std::atomic<net::Deadline> farewell_{net::Deadline::max()};  // nothing takes longer than until then
  net::Node node_;
  Keeper timers_;
  Keeper errands_;
};

namespace detail {
/// The answer in the protocol layer's terms; a view of the reply.
protocol::Answer view(const Session::Answered& answered);
}  // namespace detail

template <class Machine>
std::optional<net::Failure> Session::run(Machine& machine, net::Deadline deadline, const std::stop_token& stop) {
  std::optional<net::Failure> broke;  // the reason to report when the repetitions run out of time
  protocol::Step step = machine.start(now());
  for (;;) {
    if (std::holds_alternative<protocol::Done>(step)) return std::nullopt;
    if (const auto* rest = std::get_if<protocol::Pause>(&step)) {
      if (auto failure = pause(rest->until, deadline, stop)) return failure;
      step = machine.woken(now());
      continue;
    }
    if (stop.stop_requested()) return net::Failure{net::Failure::Kind::cancelled, "cancelled"};
    Exchanged exchanged = exchange(std::get<protocol::Request>(step), deadline, stop);
    if (const auto* answered = std::get_if<Answered>(&exchanged)) {
      step = machine.answered(detail::view(*answered));
    } else if (auto* unanswered = std::get_if<Unanswered>(&exchanged)) {
      step = machine.unanswered();
      if (unanswered->failure.kind != net::Failure::Kind::unreachable) return std::move(unanswered->failure);
      broke = std::move(unanswered->failure);
    } else {
      auto& failure = std::get<net::Failure>(exchanged);
      return failure.kind == net::Failure::Kind::timed_out && broke ? broke : std::move(failure);
    }
  }
}

}  // namespace redismutex::engine
