// A Workroom's rounds in other threads than the reactor's: see Background::begin_help().

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

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
  bool is_wanted = false;
  Instant due{};  // of the reactor, if there is one
};
thread_local constinit Help help_here;
thread_local constinit int rounds_here = 0;

}  // namespace

InRound::InRound() noexcept { ++rounds_here; }

InRound::~InRound() { --rounds_here; }

bool InRound::is_here() noexcept { return rounds_here > 0; }

/// With the lock held: there is one more that was started, answered, or woken. A thread that helps goes on with it.
void Workroom::wake() noexcept {
  if (help_here.room != this) return request_round(at_once);
  // Once more when the reactor has made that round: what users' code wakes after it has none else.
  if (std::exchange(help_here.is_wanted, true) && round_at_ <= help_here.due) return;
  help_here.due = now() + longest_help;
  request_round(help_here.due);
}

/// What this thread was to go on with is the reactor's.
Workroom* Workroom::interrupt_help() noexcept {
  const Help help = std::exchange(help_here, {});
  if (help.is_wanted) {
    const std::lock_guard lock{help.room->mutex_};
    help.room->request_round(at_once);
  }
  return help.room;
}

/// Amid another help, as when users' code runs its loop in a completion, that one is over.
void Workroom::begin_help() noexcept {
  interrupt_help();
  help_here.room = this;
}

/// Unless another thread makes a round at present: then the reactor's makes one more.
void Workroom::end_help() noexcept {
  Instant next = never;
  while (std::exchange(help_here.is_wanted, false)) {
    const std::unique_lock round{round_, std::try_to_lock};
    if (!round) {
      next = at_once;
      break;
    }
    make_round_of_help();
    next = listeners_changed_ ? at_once : std::min(next, next_time_);
  }
  help_here = {};
  if (next == never) return;
  const std::lock_guard lock{mutex_};
  request_round(next);
}

HelpPause::HelpPause() noexcept : helped_{Workroom::interrupt_help()} {}

HelpPause::~HelpPause() {
  if (helped_ != nullptr) helped_->begin_help();
}

/// All but what has its time, and what was dialled: that is the reactor's.
void Workroom::make_round_of_help() noexcept {
  const InRound here;
  go_on();
  if (listeners_changed_) listen_at_present_links(now());
  tell_ended();
}

}  // namespace redismutex::route
