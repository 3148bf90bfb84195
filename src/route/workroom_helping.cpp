// A Workroom's rounds in other threads than the reactor's: see Background::begin_help().

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include "net/fork.hpp"
#include "route/environment.hpp"
#include "route/helps.hpp"
#include "route/workroom.hpp"

namespace redismutex::route {
namespace {

using protocol::Instant;
using protocol::never;

// What a thread that helps has not gone on with by then, because users' code takes its time, the reactor does.
constexpr std::chrono::milliseconds longest_help{10};

/// A thread that helps.
struct Help {
  Workroom* room = nullptr;
  std::uint64_t generation = 0;
  bool is_wanted = false;
  Instant due{};  // of the reactor, if there is one
};
thread_local constinit Help latest_help;
thread_local constinit int rounds_here = 0;

/// This thread's. In a child of fork() none: it was the parent's.
Help& help_here() noexcept {
  if (latest_help.room != nullptr && latest_help.generation != net::fork_generation()) latest_help = {};
  return latest_help;
}

}  // namespace

InRound::InRound() noexcept { ++rounds_here; }

InRound::~InRound() { --rounds_here; }

bool InRound::is_here() noexcept { return rounds_here > 0; }

/// With the lock held: there is one more that was started, answered, or woken. A thread that helps goes on with it.
void Workroom::wake() noexcept {
  Help& help = help_here();
  if (help.room != this) return request_round(at_once);
  // Once more when the reactor has made that round: what users' code wakes after it has none else.
  if (std::exchange(help.is_wanted, true) && round_at_ <= help.due) return;
  help.due = now() + longest_help;
  request_round(help.due);
}

/// What this thread was to go on with is the reactor's.
Workroom* Workroom::interrupt_help() noexcept {
  const Help help = std::exchange(help_here(), {});
  if (help.is_wanted) {
    const std::lock_guard lock{help.room->mutex_};
    help.room->request_round(at_once);
  }
  return help.room;
}

/// Amid another help, as when users' code runs its loop in a completion, that one is over.
void Workroom::begin_help() noexcept {
  interrupt_help();
  latest_help = {.room = this, .generation = net::fork_generation()};
}

/// Unless a round is made at present, by another thread, or, where an Executor runs a Work that it is to post, by this one: then the
/// reactor's makes one more.
void Workroom::end_help() noexcept {
  Instant next = never;
  while (std::exchange(help_here().is_wanted, false)) {
    std::unique_lock round{round_, std::defer_lock};
    if (InRound::is_here() || !round.try_lock()) {
      next = at_once;
      break;
    }
    make_round_of_help();
    next = listeners_changed_ ? at_once : std::min(next, next_time_);
  }
  help_here() = {};
  if (next == never) return;
  const std::lock_guard lock{mutex_};
  request_round(next);
}

HelpPause::HelpPause() noexcept : helped_{Workroom::interrupt_help()}, generation_{net::fork_generation()} {}

HelpPause::~HelpPause() {
  if (helped_ != nullptr && generation_ == net::fork_generation()) helped_->begin_help();
}

/// All but what has its time, and what was dialled: that is the reactor's.
void Workroom::make_round_of_help() noexcept {
  const InRound here;
  go_on();
  if (listeners_changed_) listen_at_present_links(now());
  tell_ended();
}

}  // namespace redismutex::route
