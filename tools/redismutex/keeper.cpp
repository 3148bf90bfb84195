#include "keeper.hpp"

#include <unistd.h>

#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>
#include <string_view>

#include "acquirer.hpp"
#include "child.hpp"
#include "failures.hpp"
#include "guard.hpp"
#include "keepers_signals.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

/// What people see of this run where they look at the lock or at the server's connections: "run/report.sh".
std::string purpose_of(const RunArguments& arguments) {
  const std::string_view program{arguments.command.front()};
  return "run/" + std::string{program.substr(program.rfind('/') + 1)};
}

/// One run of the keeper.
class Keeper {
 public:
  Keeper(const RunArguments& arguments, const std::vector<ConnectionOptions>& servers, KeeperMeans means)
      : arguments_{arguments},
        timing_{arguments.expiry},
        means_{means},
        signals_{means.signals},
        acquirer_{
            arguments, {purpose_of(arguments), ::getpid()}, {arguments.expiry, true}, servers, means_of_waiting()} {}

  int run();

 private:
  std::optional<Lock> acquire();
  std::optional<Lock> acquire_in_time();
  int run_under(Lock& lock);
  int release(Lock& lock, int status) const;
  pid_t commands_group() const;
  Acquirer::Means means_of_waiting();

  const RunArguments& arguments_;
  LeaseTiming timing_;
  KeeperMeans means_;
  SignalReader signals_;
  pid_t first_group_ = ::getpgrp();
  std::optional<int> ended_by_;  // the signal that ended the wait
  Acquirer acquirer_;
};

int Keeper::run() {
  // Out of the way of signals to the whole group, of SIGKILL above all. In a PID namespace whose group leader is outside,
  // the group has no number by which COMMAND could join it again; but there the kernel kills all when the watcher dies.
  if (first_group_ != 0) ::setpgid(0, 0);
  auto lock = acquire_in_time();
  if (lock) return run_under(*lock);
  acquirer_.say_taken();
  means_.page.set_skipped();
  return arguments_.conflict_status;
}

std::optional<Lock> Keeper::acquire() {
  try {
    return acquirer_.acquire();
  } catch (const LockCancelled&) {
    throw EndedBySignal{ended_by_.value()};
  }
}

/// While there is no COMMAND, a signal that asks for an end ends the wait.
Acquirer::Means Keeper::means_of_waiting() {
  return {.interruption = {.descriptors = {means_.notes.descriptor(), signals_.descriptor()},
                           .happened =
                               [this] {
                                 if (!ended_by_) ended_by_ = signal_that_asks_to_end(means_.notes, signals_);
                                 return ended_by_.has_value();
                               }},
          .group = commands_group()};
}

/// A lock under which COMMAND can be started. This process may have stood still since it got the lock (Ctrl-Z, a suspended
/// machine) and come too late to start anything. So the watcher is told of the lease first, and then it is looked at once
/// more: if this process stands still after that, the watcher ends it in time.
std::optional<Lock> Keeper::acquire_in_time() {
  while (true) {
    auto lock = acquire();
    if (!lock) return lock;
    if (lock->valid_for() <= timing_.stop_margin()) continue;
    means_.page.set_mark("REDISMUTEX_VALUE=" + lock->value());
    publish_lease(means_.page, *lock, timing_);
    means_.page.set_state(LeasePage::State::running);
    means_.notes.send({.what = Note::What::command_starts});
    if (lock->valid_for() > timing_.stop_margin()) return lock;
    means_.page.set_state(LeasePage::State::waiting);
  }
}

int Keeper::run_under(Lock& lock) {
  std::vector<std::string> environment{"REDISMUTEX_KEY=" + lock.key(), "REDISMUTEX_VALUE=" + lock.value()};
  if (const auto token = lock.fencing_token()) {
    environment.push_back("REDISMUTEX_FENCING_TOKEN=" + std::to_string(*token));
  }
  if (arguments_.verbose) {
    say("took the lock '" + lock.key() + "', with token " + std::to_string(lock.fencing_token().value_or(0)));
  }
  Child child{arguments_.command, environment, commands_group(), means_.signals};
  means_.page.set_began_at(BootClock::now());
  const auto outcome = Guard{{lock, acquirer_.news(), child, means_.page, means_.notes, signals_}, arguments_}.watch();
  if (outcome.end == Guard::End::lock_lost) return exit_status::lock_lost;
  return release(lock, outcome.exit_status);
}

/// Gives a lock back whose command has ended with `status`, and ends this process; returns only if something went wrong, which
/// is said.
int Keeper::release(Lock& lock, int status) const {
  const auto key = lock.key();
  try {
    lock.release();
    if (arguments_.verbose) say("gave the lock '" + key + "' back");
    // All is said to the server, and nobody waits for the threads to end.
    ::_exit(status);
  } catch (const MutexUnlockError& error) {
    say("the lock '" + key + "' was lost before the command ended with exit status " + std::to_string(status) + " (" +
        error.what() + ")");
    return exit_status::lock_lost;
  } catch (const Error& error) {
    say("the lock '" + key + "' could not be released, and ends by itself (" + error.what() + ")");
  }
  return status;
}

/// The process group that the shell knows; 0 for the one this process is in.
pid_t Keeper::commands_group() const {
  if (first_group_ == 0) return 0;
  const auto group = ::getpgid(means_.watcher);
  return group > 0 ? group : first_group_;
}

}  // namespace

int keep(const RunArguments& arguments, const std::vector<ConnectionOptions>& servers, KeeperMeans means) noexcept {
  try {
    return Keeper{arguments, servers, means}.run();
  } catch (...) {
    return say_failure(arguments);
  }
}

}  // namespace redismutex::cli
