#include "guard.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "end_on_signal.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

// Most commands that end sooner than this spare the threads that renewing takes: a third of the time of `run true`.
constexpr auto keeper_starts_after = 10ms;

constexpr auto says_that_it_waits_after = 1s;

}  // namespace

Guard::Guard(Means means, const RunArguments& arguments)
    : means_{means},
      arguments_{arguments},
      timing_{arguments.expiry},
      keeper_due_{BootClock::now() + std::min<BootClock::duration>(keeper_starts_after, timing_.retry_every())} {}

Guard::Outcome Guard::watch() {
  while (!ended()) {
    wait_until(act());
    handle_notes();
  }
  const int status = means_.child.reap().value_or(exit_status::ended_by_signal(SIGKILL));
  // Said before the thread that renews is waited for: a silent server holds it up for longer than the others are patient.
  means_.page.finish(end_ == End::lock_lost ? exit_status::lock_lost : status);
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
  const int loss = keeper_ && !loss_seen_ ? keeper_->lost_descriptor() : -1;  // readable for ever once it happened
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
  loss_seen_ = keeper_ && keeper_->lost();
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

/// While all is well.
BootClock::time_point Guard::keep_on(BootClock::time_point now) {
  if (!keeper_ && now >= keeper_due_) start_keeper();
  say_what_is_waited_for(now);
  const auto time_left = loss_seen_ ? 0ms : means_.lock.valid_for() - timing_.stop_margin();
  if (time_left <= 0ms) {
    begin_to_stop();
    return now;
  }
  auto next = now + time_left;
  if (!keeper_) next = std::min(next, keeper_due_);
  if (command_ended_at_ <= now && !said_waiting_) next = std::min(next, command_ended_at_ + says_that_it_waits_after);
  return next;
}

void Guard::start_keeper() {
  try {
    keeper_.emplace(means_.lock, timing_, means_.page);
  } catch (const std::system_error& error) {
    // No thread to be had now. There may be one before the lease ends; if not, the command is stopped in time.
    thread_failure_ = error.what();
    keeper_due_ = BootClock::now() + timing_.retry_every();
  }
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
  const auto time_left = loss_seen_ ? 0ms : means_.lock.valid_for();
  kill_at_ = now + (time_left > 0ms ? time_left - timing_.kill_margin() : timing_.kill_margin());
  means_.page.set_stop_at(BootClock::time_point::max());  // being done
  means_.child.signal_all(SIGTERM);
  // A command that stands still could not obey. But it must not go on when someone else may be inside.
  if (time_left > 0ms) means_.child.signal_all(SIGCONT);
  say_why_stopping();
}

void Guard::say_why_stopping() const {
  auto text = "the lock '" + means_.lock.key() + (loss_seen_ ? "' was lost" : "' could not be renewed");
  const auto failure = keeper_ ? keeper_->last_failure() : thread_failure_;
  if (!failure.empty()) text += " (" + failure + ")";
  say(text + "; stopping the command", 0ms);
}

}  // namespace redismutex::cli
