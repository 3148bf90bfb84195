#include "guard.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "keepers_signals.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto says_that_it_waits_after = 1s;

}  // namespace

void publish_lease(LeasePage& page, const Lock& lock, LeaseTiming timing) noexcept {
  const auto now = BootClock::now();  // before it is asked what is left: rather too early than too late
  const auto ends_at = now + lock.lease_ends_in();
  page.set_kill_at(ends_at - timing.kill_margin());
  page.set_stop_at(ends_at - timing.stop_margin());
}

Guard::Guard(Means means, const RunArguments& arguments)
    : means_{means},
      arguments_{arguments},
      timing_{arguments.expiry},
      lost_token_{means.lock.lost_token()},
      on_loss_{lost_token_, [this] { loss_.raise(); }} {}

Guard::Outcome Guard::watch() {
  while (!ended()) {
    wait_until(act());
    handle_notes();
  }
  const int status = means_.child.reap().value_or(exit_status::ended_by_signal(SIGKILL));
  // Said before the lock is given back: a silent server holds that up for longer than the others are patient.
  const bool is_lost = end_ == End::lock_lost;
  means_.page.finish(is_lost ? exit_status::lock_lost : status, !is_lost);
  return {end_, status};
}

/// A command that ends by itself may leave processes behind; one that is stopped may not.
bool Guard::ended() {
  auto& child = means_.child;
  const auto status = child.reap();
  if (status && phase_ == Phase::running && command_ended_at_ == BootClock::time_point::max()) {
    command_ended_at_ = BootClock::now();
    if (arguments_.background == Background::leave) child.leave_others();
    if (!child.all_have_ended()) end_the_rest(*status);
  }
  return child.all_have_ended();
}

/// A shell that is ended leaves what it was running to itself. But this end was meant for the whole: or `kill` would end
/// the script, and redismutex go on waiting for the program that the script was waiting for.
void Guard::end_the_rest(int exit_status) {
  if (asked_to_end_ != 0 && exit_status == exit_status::ended_by_signal(asked_to_end_)) {
    means_.child.signal_all(SIGTERM);
  }
}

void Guard::wait_until(BootClock::time_point deadline) {
  timer_.set(deadline - BootClock::now());
  const int loss = loss_seen_ ? -1 : loss_.descriptor();  // readable for ever once it happened
  const int watcher = means_.watcher.closed() ? -1 : means_.watcher.descriptor();
  std::array<pollfd, 4> sources{{{means_.signals.descriptor(), POLLIN, 0},
                                 {timer_.descriptor(), POLLIN, 0},
                                 {loss, POLLIN, 0},
                                 {watcher, POLLIN, 0}}};
  ::poll(sources.data(), sources.size(), -1);
}

void Guard::handle_notes() {
  report_signals(means_.signals, means_.watcher);
  while (const auto note = means_.watcher.next()) handle(*note);
}

void Guard::handle(const Note& note) {
  auto& child = means_.child;
  const bool command_ended = child.reap().has_value();
  if (asks_to_end(note.signal)) asked_to_end_ = note.signal;
  switch (note.what) {
    case Note::What::for_command: child.pass_on(note); break;
    case Note::What::for_everything: child.signal_all(note.signal); break;
    case Note::What::ends_the_wait:
      // Ctrl-C, when only what COMMAND left in the background is there to be waited for: shells make that deaf to it.
      if (command_ended && asks_to_end(note.signal)) child.signal_all(SIGTERM);
      break;
    default: break;
  }
}

/// Does what is due, and says when the next thing is.
BootClock::time_point Guard::act() {
  const auto now = BootClock::now();
  loss_seen_ = lost_token_.stop_requested();
  if (means_.watcher.closed()) {
    if (phase_ == Phase::running) end_ = End::unwatched;
    means_.child.kill_all();
    return now;
  }
  if (phase_ == Phase::running) {
    const auto next = keep_on(now);
    if (phase_ == Phase::running) return next;
  }
  if (loss_seen_) kill_at_ = std::min(kill_at_, now + timing_.kill_margin());
  means_.page.set_kill_at(kill_at_);
  if (now < kill_at_) return kill_at_;
  means_.child.kill_all();
  return now;
}

/// While all is well. The watcher learns of renewals here and not from the thread that renews: so it also finds out when this
/// thread stands still alone.
BootClock::time_point Guard::keep_on(BootClock::time_point now) {
  say_what_is_waited_for(now);
  const auto time_left = loss_seen_ ? 0ms : means_.lock.lease_ends_in() - timing_.stop_margin();
  if (time_left <= 0ms) {
    begin_to_stop();
    return now;
  }
  publish_lease(means_.page, means_.lock, timing_);
  auto next = now + std::min(time_left, timing_.publish_every());
  if (command_ended_at_ <= now && !said_waiting_) next = std::min(next, command_ended_at_ + says_that_it_waits_after);
  return next;
}

void Guard::say_what_is_waited_for(BootClock::time_point now) {
  if (said_waiting_ || command_ended_at_ > now || now - command_ended_at_ < says_that_it_waits_after) return;
  said_waiting_ = true;
  if (arguments_.quiet) return;
  say("the command has ended, but processes that it started run on; keeping the lock '" + means_.lock.key() +
          "' until they end (--background=leave would not)",
      0ms);
}

void Guard::begin_to_stop() {
  phase_ = Phase::stopping;
  end_ = End::lock_lost;
  const auto now = BootClock::now();
  const auto time_left = loss_seen_ ? 0ms : means_.lock.lease_ends_in();
  kill_at_ = now + (time_left > 0ms ? time_left - timing_.kill_margin() : timing_.kill_margin());
  means_.page.set_stop_at(BootClock::time_point::max());  // being done
  means_.child.signal_all(SIGTERM);
  // A command that stands still could not obey. But it must not go on when someone else may be inside.
  if (time_left > 0ms) means_.child.signal_all(SIGCONT);
  say("the lock '" + means_.lock.key() + "' " +
          means_.news.why_stopping(means_.lock, loss_seen_, timing_.expiry - time_left) + "; stopping the command",
      0ms);
}

}  // namespace redismutex::cli
