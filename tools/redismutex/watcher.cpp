#include "watcher.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "witness.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto end_limit = 1s;              // for one of ours that was killed to be gone
constexpr auto witness_starts_after = 5ms;  // a COMMAND that ends sooner hardly gets a signal, and is spared a process
constexpr auto release_limit = 5s;          // for a keeper that has nothing to do any more but to give the lock back
constexpr auto wait_ends_within = 1s;  // after a signal; a keeper that asks a silent server (DNS, too) may take longer
constexpr auto never = BootClock::time_point::max();

}  // namespace

Watcher::Watcher(Means means, const RunArguments& arguments)
    : means_{means}, key_{arguments.key}, timing_{arguments.expiry}, reader_{means.signals} {
  means_.family.exempt(means_.keeper);
}

int Watcher::watch() {
  while (!ended()) {
    wait_until(act());
    handle_signals();
    handle_notes();
    pass_on_due_signals();
    if (BootClock::now() >= witness_due_) start_witness();
  }
  end_witness();
  if (!has_taken_over_ && WIFEXITED(keeper_status_)) return WEXITSTATUS(keeper_status_);
  if (is_waiting() && wait_ended_by_ != 0) return exit_status::ended_by_signal(wait_ended_by_);
  const auto state = means_.page.state();
  if (state == LeasePage::State::finished) return means_.page.exit_status();
  return state == LeasePage::State::running || state == LeasePage::State::overdue ? exit_status::lock_lost
                                                                                  : exit_status::internal_error;
}

bool Watcher::ended() {
  reap();
  if (!has_taken_over_) {
    const bool finished = means_.page.state() == LeasePage::State::finished;
    if (!keeper_ended_) return finished && BootClock::now() - end_limit >= release_ends_at_;
    if (finished) return true;
    take_over("the process that kept the lock '" + key_ + "' was killed");
  }
  // A keeper that has been killed while a freezer holds it does not end, but it does nothing any more.
  const bool keeper_is_harmless = keeper_ended_ || BootClock::now() >= give_up_at_ - kill_limit + end_limit;
  if (keeper_is_harmless && means_.family.is_gone()) return true;
  if (BootClock::now() < give_up_at_) return false;
  say("processes of the command could not be killed");
  return true;
}

void Watcher::reap() {
  int status = 0;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended == witness_) witness_ = -1;
    if (ended != means_.keeper || keeper_ended_) continue;
    keeper_ended_ = true;
    keeper_status_ = status;
  }
}

void Watcher::wait_until(BootClock::time_point deadline) {
  deadline = std::min({deadline, sieve_.due(), witness_due_});
  if (deadline == never) {
    timer_.disarm();
  } else {
    timer_.set(deadline - BootClock::now());
  }
  std::array<pollfd, 3> sources{
      {{reader_.descriptor(), POLLIN, 0}, {means_.notes.descriptor(), POLLIN, 0}, {timer_.descriptor(), POLLIN, 0}}};
  ::poll(sources.data(), sources.size(), -1);
}

void Watcher::handle_signals() {
  while (const auto info = reader_.next()) {
    if (info->ssi_signo != SIGCHLD) handle(*info);
  }
}

void Watcher::handle(const signalfd_siginfo& info) {
  const auto signal = static_cast<int>(info.ssi_signo);
  if (!sent_by_terminal(info)) {
    const auto note = note_of(Note::What::for_command, info);
    // Before there is a COMMAND, nobody else can have got it. Without a witness the keeper may have.
    if (is_waiting()) {
      pass_on(note);
    } else {
      sieve_.add(note, BootClock::now());
    }
  } else if (signal == SIGHUP && ::getsid(0) == ::getpid()) {
    hang_up();
  } else if (asks_to_stop(signal)) {
    stop_with_the_job(signal);
  } else {
    tell_keeper({.what = Note::What::ends_the_wait, .signal = signal});
  }
}

/// The terminal is gone, and the kernel has told the leader of its session alone. Where that leader ends, as nearly all
/// do, the kernel tells the others; here the leader tells them and stays.
void Watcher::hang_up() {
  tell_keeper({.what = Note::What::for_everything, .signal = SIGHUP});
  tell_keeper({.what = Note::What::for_everything, .signal = SIGCONT});
}

void Watcher::handle_notes() {
  while (const auto note = means_.notes.next()) {
    switch (note->what) {
      case Note::What::command_starts:
        if (!had_witness_) witness_due_ = BootClock::now() + witness_starts_after;
        break;
      case Note::What::witness_answers: sieve_.answered(note->value.sival_int); break;
      case Note::What::seen_by_keeper:
      case Note::What::seen_by_witness:
        if (is_waiting() && note->what == Note::What::seen_by_keeper) {
          pass_on(*note);
        } else {
          sieve_.add(*note, BootClock::now());
        }
        break;
      default: break;
    }
  }
}

void Watcher::start_witness() {
  had_witness_ = true;
  witness_due_ = never;
  witness_ = cli::start_witness(
      {means_.signals, means_.page, means_.notes, means_.witness_notes, means_.keeper, timing_}, means_.name);
  if (witness_ > 0) means_.family.exempt(witness_);
}

void Watcher::pass_on_due_signals() {
  const auto now = BootClock::now();
  if (sieve_.has_question(now)) {
    if (witness_ > 0) {
      ask_witness(witness_, sieve_.last_question());
    } else {
      sieve_.answered(sieve_.last_question());
    }
  }
  while (const auto note = sieve_.next(now)) pass_on(*note);
}

void Watcher::pass_on(const Note& note) {
  auto order = note;
  order.what = Note::What::for_command;
  if (!asks_to_stop(note.signal)) {
    tell_keeper(order);
  } else {
    if (!is_waiting()) tell_keeper(order);
    if (!sieve_.holds(SIGCONT)) stop_with_the_job(note.signal);
  }
}

void Watcher::tell_keeper(const Note& note) {
  means_.notes.send(note);
  if (!is_waiting() || !asks_to_end(note.signal) || wait_ended_by_ != 0) return;
  wait_ended_by_ = note.signal;
  wait_ends_at_ = BootClock::now() + wait_ends_within;
}

/// Stops this process, for the shell to see. The keeper goes on and renews the lock of a COMMAND that stands still. But
/// while there is no COMMAND the keeper stops too: a stopped job must not start one.
void Watcher::stop_with_the_job(int signal) {
  bool keeper_stops = is_waiting() && !keeper_ended_;
  if (keeper_stops) {
    ::kill(means_.keeper, SIGSTOP);
    siginfo_t report{};
    ::waitid(P_PID, static_cast<id_t>(means_.keeper), &report, WSTOPPED | WEXITED | WNOWAIT);
    if (!is_waiting()) {
      // COMMAND has been started in the last moment, and may have missed what the terminal sent.
      ::kill(means_.keeper, SIGCONT);
      tell_keeper({.what = Note::What::for_command, .signal = signal});
      keeper_stops = false;
    }
  }
  stop_as_by(signal);
  if (keeper_stops) ::kill(means_.keeper, SIGCONT);
}

std::string Watcher::stands_still() const { return "the process that keeps the lock '" + key_ + "' stands still"; }

/// Does what is due, and says when the next thing is.
BootClock::time_point Watcher::act() {
  const auto now = BootClock::now();
  if (!has_taken_over_ && means_.page.state() == LeasePage::State::running) {
    const auto patience = timing_.watchers_patience();
    const auto kill_at = means_.page.kill_at();
    const auto stop_at = means_.page.stop_at();
    if (now < kill_at + patience) {
      if (has_asked_to_end_ || stop_at == never) return kill_at + patience;
      if (now < stop_at + patience) return stop_at + patience;
      say(stands_still() + "; stopping the command", 0ms);
      means_.family.signal(SIGTERM);
      has_asked_to_end_ = true;
      return kill_at + patience;
    }
    // On a busy machine both times may have come at once. Where the keeper is stopping COMMAND itself, it has said why.
    take_over(has_asked_to_end_ || stop_at == never ? "" : stands_still());
  }
  if (!has_taken_over_ && is_waiting() && wait_ended_by_ != 0) {
    if (now < wait_ends_at_) return wait_ends_at_;
    take_over({});
  }
  if (!has_taken_over_ && means_.page.state() == LeasePage::State::finished) return await_release(now);
  if (!has_taken_over_) return never;
  // The keeper first: it must not start anything any more.
  if (!keeper_ended_) ::kill(means_.keeper, SIGKILL);
  means_.family.kill();
  return now + kill_again_every;
}

/// What COMMAND has left running now runs on purpose. A keeper that stands still must not hold up the caller for ever.
BootClock::time_point Watcher::await_release(BootClock::time_point now) {
  if (release_ends_at_ == never) release_ends_at_ = now + release_limit;
  if (now < release_ends_at_) return release_ends_at_;
  if (!keeper_ended_) ::kill(means_.keeper, SIGKILL);
  return release_ends_at_ + end_limit;
}

void Watcher::take_over(const std::string& reason) {
  has_taken_over_ = true;
  give_up_at_ = BootClock::now() + kill_limit;
  if (reason.empty()) return;
  say(reason + (is_waiting() ? "" : "; stopping the command"), 0ms);
}

void Watcher::end_witness() {
  if (witness_ <= 0) return;
  ::kill(witness_, SIGKILL);
  const auto deadline = BootClock::now() + end_limit;
  while (::waitpid(witness_, nullptr, WNOHANG) == 0 && BootClock::now() < deadline) {
    pollfd its_end{reader_.descriptor(), POLLIN, 0};
    ::poll(&its_end, 1, static_cast<int>(std::chrono::milliseconds{end_limit}.count()));
    while (reader_.next()) {
    }
  }
}

}  // namespace redismutex::cli
