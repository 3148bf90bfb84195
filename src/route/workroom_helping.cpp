// A Workroom's rounds in other threads than the reactor's: see Background::begin_help().

#include <algorithm>
#include <mutex>
#include <utility>

#include "route/environment.hpp"
#include "route/workroom.hpp"

namespace redismutex::route {
namespace {

using protocol::Instant;

constexpr Instant never = Instant::max();
constexpr Instant at_once{};

/// A thread that helps.
struct Help {
  Workroom* room = nullptr;
  bool is_wanted = false;
};
thread_local constinit Help help_here;

}  // namespace

/// With the lock held: there is one more that was started, answered, or woken. A thread that helps goes on with it.
void Workroom::wake() noexcept {
  if (help_here.room == this) {
    help_here.is_wanted = true;
  } else {
    request_round(at_once);
  }
}

/// Amid another help, as when users' code runs its loop in a completion, that one leaves what it has woken to the reactor.
void Workroom::begin_help() noexcept {
  const Help outer = std::exchange(help_here, {.room = this});
  if (!outer.is_wanted) return;
  const std::lock_guard lock{outer.room->mutex_};
  outer.room->request_round(at_once);
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

/// All but what has its time, and what was dialled: that is the reactor's.
void Workroom::make_round_of_help() noexcept {
  go_on();
  if (listeners_changed_) listen_at_present_links(now());
  tell_ended();
}

}  // namespace redismutex::route
