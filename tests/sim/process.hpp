#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/owner_id.hpp"
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

/// One waiter's box for the server's pushes, as engine::Mailroom::Box.
struct Box {
  const std::string& key;
  const std::string& id;
  Bell& bell;
  std::optional<protocol::Grant> grant = {};
  bool changed = false;
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
  };
  struct Unanswered {
    Failure failure;
  };
  using Exchanged = std::variant<Answered, Unanswered, Failure>;

  /// Repeats what a server did not carry out because it is not the master (any more).
  Task<Exchanged> exchange(Bell& bell, const protocol::Request& request, Time deadline, Stop* stop,
                           std::shared_ptr<Link>& used);

  /// Drives a state machine until it is done, or gives up with the reason. See engine::Session::run.
  template <class Machine>
  Task<std::optional<Failure>> run(Bell& bell, Machine& machine, Time deadline, Stop* stop = nullptr,
                                   Box* box = nullptr);

  /// Sends a request whose answer nobody waits for. Whether there was a connection to send it on.
  bool post(const protocol::Request& request, std::shared_ptr<Call> call = nullptr);

  std::string mailbox() const { return mailbox_refused_ ? "-" : channel_; }
  bool& contended(const protocol::Key& key) { return contended_[key.text()]; }
  Time patience() const { return world_.now() + connect_timeout + command_timeout; }
  protocol::OwnerId draw_id();

  protocol::Answer view(const Answered& answered) const;

  void add(Box& box) { boxes_.push_back(&box); }
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
  Task<Exchanged> exchange_once(Bell& bell, const protocol::Request& request, Time deadline, Stop* stop,
                                std::shared_ptr<Link>& used);
  void lose_connection(const char* how);
  Task<bool> dial(Bell& bell, Time deadline);
  Task<std::optional<Failure>> send_and_wait(Bell& bell, const protocol::Request& request, std::shared_ptr<Link> link,
                                             std::shared_ptr<Call> call, Time deadline, Stop* stop);
  Task<std::optional<Failure>> await_answer(Bell& bell, std::shared_ptr<Link> link, std::shared_ptr<Call> call,
                                            Time deadline, Stop* stop);
  Task<> open_pushes(Bell& bell, std::shared_ptr<Link> link, Time deadline, Stop* stop);
  void send(Link& link, const protocol::Request& request, std::shared_ptr<Call> call);
  Task<bool> wait(Bell& bell, Box& box, std::shared_ptr<Link> link, Time deadline, Stop* stop);
  void grant(const std::string& message);
  void key_changed(const std::string& key);

  World& world_;
  const int number_;
  const int threads_;
  const Clock clock_;
  std::string channel_;  // another one on each connection
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
  std::list<Task<>> running_, servants_;  // last: what runs uses the rest
};

template <class Machine>
Task<std::optional<Failure>> Process::run(Bell& bell, Machine& machine, Time deadline, Stop* stop, Box* box) {
  constexpr bool waits = requires(const protocol::Grant& grant) { machine.granted(grant, now()); };
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
        const bool stopped = co_await wait(bell, *box, used, until, stop);
        if (stopped) co_return Failure::cancelled;
        auto grant = std::exchange(box->grant, std::nullopt);
        box->changed = false;
        co_await point(bell);
        if (grant && world_.mutant == Mutant::grant_from_arrival) {
          grant->arrived = now();
          grant->granted_at += std::chrono::hours{1};
        }
        step = grant ? machine.granted(*grant, now()) : machine.woken(now());
        continue;
      }
    }
    const auto& request = std::get<protocol::Request>(step);
    const bool wants_wake_ups = request.wants_wake_ups;
    const Exchanged exchanged = co_await exchange(bell, request, deadline, stop, used);
    co_await point(bell);
    if (const auto* answered = std::get_if<Answered>(&exchanged)) {
      if constexpr (waits) {
        if (wants_wake_ups && machine.mailbox() != mailbox()) {
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
