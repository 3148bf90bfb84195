#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/refresh.hpp"
#include "protocol/release.hpp"
#include "protocol/verdict.hpp"
#include "sim/bell.hpp"
#include "sim/caretaker.hpp"
#include "sim/clock.hpp"
#include "sim/link.hpp"
#include "sim/task.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

/// Asks a thread to give up what it does.
struct Stop {
  Bell* bell = nullptr;
  bool requested = false;
};

enum class Failure { unreachable, timed_out, cancelled, forgotten };

/// One waiter's box for what the server tells it, as engine::Mailroom::Box.
struct Box {
  const protocol::Key& key;
  const protocol::OwnerId& id;
  Bell& bell;
  std::chrono::milliseconds delay;
  std::optional<protocol::Grant> grant = {};
  std::optional<std::chrono::milliseconds> first = {};     ///< it is the first in line, behind such a lease
  std::optional<protocol::Refresh::Place> refreshed = {};  ///< its place was renewed together with others
  bool changed = false;

  // For those who renew places together:
  const std::string* details = nullptr;  ///< while it waits
  bool knows_that_it_is_first = false;
  Time renewed_at{0};

  bool has_mail() const { return grant || first || refreshed || changed; }
};

/// A process with one connection for all its threads. What engine::Session, Mailroom and net::Node do, over the simulated
/// network.
class Process {
 public:
  Process(World& world, int number, int threads);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  World& world() noexcept { return world_; }
  const Clock& clock() const noexcept { return clock_; }
  protocol::Instant now() const { return clock_.at(world_.now()); }
  int number() const noexcept { return number_; }
  int client(int thread) const noexcept { return number_ * 10 + thread; }

  // Trouble.
  bool alive() const noexcept { return alive_; }
  Time paused_until() const noexcept { return paused_until_; }
  void pause(Time duration);
  void die(bool with_its_machine);
  void cut();

  /// From now on, for so long, it is no wonder if its threads are late.
  void disturbed(Time duration, const char* how);
  void settled();

  /// Perhaps the thread is held up here: at any such point a real one may be.
  Task<> point(Bell& bell);
  Task<> sleep(Bell& bell, Time until);

  /// A thread of it: runs until it ends, or the process does. The process counts as idle when all have ended but the servants.
  void spawn(Task<> thread);
  void spawn_servant(Task<> thread);
  bool idle() const;

  // As engine::Session.
  struct Answered {
    Value reply;
    protocol::Instant sent_at;
    std::int64_t next = 0;  ///< the answer to protocol::Request::next
  };
  struct Unanswered {
    Failure failure;
  };
  using Exchanged = std::variant<Answered, Unanswered, Failure>;

  Task<Exchanged> exchange(Bell& bell, const protocol::Request& request, Time deadline, Stop* stop,
                           std::shared_ptr<Link>& used);

  /// Drives a state machine until it is done, or gives up with the reason. See engine::Session::run.
  template <class Machine>
  Task<std::optional<Failure>> run(Bell& bell, Machine& machine, Time deadline, Stop* stop = nullptr,
                                   Box* box = nullptr);

  /// Sends a request whose answer nobody waits for. Whether there was a connection to send it on.
  bool post(const protocol::Request& request, std::shared_ptr<Call> call = nullptr);

  /// As it stands in a place, see lua/line.lua.
  std::string mailbox() const { return mailbox_refused_ ? "-" : (is_sharded() ? "s" : "p") + channel_; }

  /// The server's own way to delete a key.
  protocol::Release::Deletion deletion() const;

  /// Whether a key that is held can be watched. On Redis 6.0 it can not: each renewal would be told to the one who renews.
  bool watches_holds() const { return !tracking_refused_ && !world_.conduct().before_7_0; }
  bool& contended(const protocol::Key& key) { return contended_[key.text()]; }
  Time patience() const { return world_.now() + connect_timeout + command_timeout; }
  protocol::OwnerId draw_id();

  protocol::Answer view(const Answered& answered) const;

  void add(Box& box);
  void remove(Box& box) { boxes_.remove(&box); }

  Caretaker& caretaker() noexcept { return caretaker_; }

  // For Link:
  void deliver(const Value& push);
  void link_broke();
  void stays_at_a_demoted_server() { lose_connection("at-a-demoted-server"); }

  static constexpr Time connect_timeout = std::chrono::seconds{2};
  static constexpr Time command_timeout = std::chrono::seconds{2};

 private:
  Task<std::variant<std::shared_ptr<Link>, Failure>> link(Bell& bell, Time deadline, Stop* stop);
  void lose_connection(const char* how);
  Task<bool> dial(Bell& bell, Time deadline);
  struct Calls {
    std::shared_ptr<Call> main = std::make_shared<Call>();
    std::shared_ptr<Call> next = std::make_shared<Call>();  ///< for protocol::Request::next
  };
  Task<std::optional<Failure>> send_and_wait(Bell& bell, const protocol::Request& request, std::shared_ptr<Link> link,
                                             Calls calls, Time deadline, Stop* stop);
  Task<std::optional<Failure>> await_answer(Bell& bell, std::shared_ptr<Link> link, std::shared_ptr<Call> call,
                                            Time deadline, Stop* stop);
  Task<> open_pushes(Bell& bell, std::shared_ptr<Link> link, Time deadline, Stop* stop);
  void send(Link& link, const protocol::Request& request, std::shared_ptr<Call> call, std::shared_ptr<Call> next = {});
  Task<bool> wait(Bell& bell, Box& box, std::shared_ptr<Link> link, Time deadline, Stop* stop);
  template <class Machine>
  protocol::Step take_mail(Machine& machine, Box& box);
  bool is_sharded() const { return !world_.conduct().before_7_0 && !prefers_plain_channels_; }
  void take_message(const std::string& message);
  Task<> renew_places();
  void key_changed(const std::string& key);

  World& world_;
  const int number_;
  const int threads_;
  const Clock clock_;
  std::string channel_;  // another one on each connection
  const bool prefers_plain_channels_;
  const bool renews_together_;
  bool renewing_places_ = false;
  bool alive_ = true;
  Time paused_until_{0};
  bool connection_lost_ = false;

  std::shared_ptr<Link> link_;
  bool dialling_ = false;
  bool mailbox_refused_ = false;
  bool tracking_refused_ = false;
  Server::Connection pushing_link_ = 0;
  std::map<std::string, bool> contended_;
  std::list<Box*> boxes_;
  Caretaker caretaker_{*this};
  Bell place_bell_{world_, *this};        // of the one who renews places together
  std::list<Task<>> running_, servants_;  // last: what runs uses the rest
};

/// What woke the waiter: the more it says, the earlier it is looked at.
template <class Machine>
protocol::Step Process::take_mail(Machine& machine, Box& box) {
  using Place = protocol::Refresh::Place;
  const bool changed = std::exchange(box.changed, false);
  auto first = std::exchange(box.first, std::nullopt);
  const auto refreshed = std::exchange(box.refreshed, std::nullopt);
  if (auto grant = std::exchange(box.grant, std::nullopt)) {
    if (world_.mutant == Mutant::grant_from_arrival) {
      grant->arrived = now();
      grant->granted_at += std::chrono::hours{1};
    }
    return machine.granted(*grant, now());
  }
  if (changed) return machine.woken(now());
  if (first) {
    box.knows_that_it_is_first = true;
    return machine.told_first(*first, now());
  }
  const bool renewed = refreshed == Place::renewed || (refreshed == Place::first && box.knows_that_it_is_first);
  return renewed ? machine.refreshed(now()) : machine.woken(now());
}

template <class Machine>
Task<std::optional<Failure>> Process::run(Bell& bell, Machine& machine, Time deadline, Stop* stop, Box* box) {
  constexpr bool waits = requires(const protocol::Grant& grant) { machine.granted(grant, now()); };
  // What a server does not carry out for now is repeated for so long.
  std::optional<Time> give_up_at;
  if constexpr (waits) {
    if (machine.may_wait()) give_up_at = deadline;
  }
  std::optional<Failure> broke;
  std::shared_ptr<Link> used;
  protocol::Step step = machine.start(now());
  for (;;) {
    if (std::holds_alternative<protocol::Done>(step)) co_return std::nullopt;
    co_await point(bell);
    if constexpr (waits) {
      if (const auto* rest = std::get_if<protocol::Pause>(&step)) {
        const Time until =
            world_.mutant == Mutant::no_refresh ? deadline : std::min(clock_.when(rest->until), deadline);
        box->details = &machine.details();
        const bool stopped = co_await wait(bell, *box, used, until, stop);
        box->details = nullptr;
        if (stopped) co_return Failure::cancelled;
        co_await point(bell);
        step = take_mail(machine, *box);
        continue;
      }
    }
    const auto& request = std::get<protocol::Request>(step);
    const bool wants_wake_ups = request.wants_wake_ups;
    const bool may_be_woken = request.wants_wake_ups || request.wants_invalidation;
    const Exchanged exchanged = co_await exchange(bell, request, deadline, stop, used);
    co_await point(bell);
    if (const auto* answered = std::get_if<Answered>(&exchanged)) {
      if (is_not_carried_out(answered->reply)) {
        if (!give_up_at) give_up_at = std::min(deadline, world_.now() + connect_timeout);
        co_await sleep(bell,
                       std::min(*give_up_at, world_.now() + world_.random.between(std::chrono::milliseconds{10},
                                                                                  std::chrono::milliseconds{100})));
        if (stop != nullptr && stop->requested) co_return Failure::cancelled;
        if (world_.now() < *give_up_at) continue;
      }
      if constexpr (waits) {
        if (box != nullptr && wants_wake_ups) {
          box->knows_that_it_is_first = answered->reply.elements.size() == 3;
          box->renewed_at = world_.now();
        }
        if (may_be_woken && machine.mailbox() != mailbox()) {
          step = machine.wake_at(mailbox());
          continue;
        }
      }
      step = machine.answered(view(*answered));
    } else if (const auto* unanswered = std::get_if<Unanswered>(&exchanged)) {
      if (waits && world_.mutant == Mutant::repeats_as_another) co_return Failure::forgotten;
      step = machine.unanswered();
      if (unanswered->failure != Failure::unreachable) co_return unanswered->failure;
      broke = unanswered->failure;
    } else {
      const Failure failure = std::get<Failure>(exchanged);
      co_return failure == Failure::timed_out&& broke ? *broke : failure;
    }
  }
}

}  // namespace redismutex::sim
