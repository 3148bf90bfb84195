#include "guard.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "exit_status.hpp"
#include "messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kill_again_every = 5ms;  // what is started between two looks at the processes is caught by the next
constexpr auto kill_limit = 10s;        // what has not ended by then hangs in the kernel, or is not ours to kill

}  // namespace

Guard::Guard(Lock& lock, LeaseTiming timing, Child& child, SignalReader& signals)
    : lock_{lock}, timing_{timing}, child_{child}, signals_{signals}, keeper_{lock, timing} {}

Guard::Outcome Guard::watch() {
  while (!ended()) {
    wait_until(act());
    handle_signals();
  }
  return {child_.reap().value_or(exit_status::ended_by_signal(SIGKILL)), phase_ != Phase::running};
}

/// A command that ends by itself may leave processes behind; one that is stopped may not.
bool Guard::ended() {
  const bool command_ended = child_.reap().has_value();
  if (phase_ == Phase::running) return command_ended;
  if (command_ended && !child_.has_family()) return true;
  if (phase_ != Phase::killing || BootClock::now() < give_up_at_) return false;
  say("processes of the command could not be killed");
  return true;
}

void Guard::wait_until(BootClock::time_point deadline) {
  timer_.set(deadline - BootClock::now());
  const int loss = loss_seen_ ? -1 : keeper_.lost_descriptor();  // readable for ever once it happened
  std::array<pollfd, 3> sources{
      {{signals_.descriptor(), POLLIN, 0}, {timer_.descriptor(), POLLIN, 0}, {loss, POLLIN, 0}}};
  ::poll(sources.data(), sources.size(), -1);
}

void Guard::handle_signals() {
  while (const auto info = signals_.next()) {
    const auto signal = static_cast<int>(info->ssi_signo);
    const bool for_the_command = signal != SIGCHLD && signal != SIGTTIN && signal != SIGTTOU;
    if (for_the_command && sent_by_process(info->ssi_code)) child_.signal(signal);
  }
}

/// Does what is due, and says when the next thing is.
BootClock::time_point Guard::act() {
  const auto now = BootClock::now();
  loss_seen_ = keeper_.lost();
  if (phase_ == Phase::running) {
    const auto time_left = loss_seen_ ? 0ms : lock_.valid_for() - timing_.stop_margin();
    if (time_left > 0ms) return now + time_left;
    begin_to_stop();
  }
  if (phase_ == Phase::stopping) {
    if (loss_seen_) kill_at_ = std::min(kill_at_, now + timing_.kill_margin());
    if (now < kill_at_) return kill_at_;
    phase_ = Phase::killing;
    give_up_at_ = now + kill_limit;
  }
  child_.signal(SIGKILL);  // the first of the family, before looking for the others
  child_.signal_family(SIGKILL);
  return now + kill_again_every;
}

void Guard::begin_to_stop() {
  phase_ = Phase::stopping;
  const auto now = BootClock::now();
  const auto time_left = loss_seen_ ? 0ms : lock_.valid_for();
  kill_at_ = now + (time_left > 0ms ? time_left - timing_.kill_margin() : timing_.kill_margin());
  child_.signal_family(SIGTERM);
  // A command that stands still could not obey. But it must not go on when someone else may be inside.
  if (time_left > 0ms) child_.signal_family(SIGCONT);
  say_why_stopping();
}

void Guard::say_why_stopping() const {
  auto text = "the lock '" + lock_.key() + (loss_seen_ ? "' was lost" : "' could not be renewed");
  if (const auto failure = keeper_.last_failure(); !failure.empty()) text += " (" + failure + ")";
  say(text + "; stopping the command", 0ms);
}

}  // namespace redismutex::cli
