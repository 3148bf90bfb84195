#include "keeper.hpp"

#include <unistd.h>

#include <optional>
#include <redismutex/redismutex.hpp>

#include "child.hpp"
#include "end_on_signal.hpp"
#include "failures.hpp"
#include "guard.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto for_ever = std::chrono::milliseconds{24h * 365};  // then anew

/// One run of the keeper.
class Keeper {
 public:
  Keeper(const RunArguments& arguments, const ConnectionOptions& server, KeeperMeans means)
      : arguments_{arguments},
        timing_{arguments.expiry},
        means_{means},
        signals_{means.signals},
        mutex_{connect(server), {.blocking = false, .expiry = timing_.expiry, .fencing = arguments.fencing}} {}

  int run();

 private:
  Connection connect(ConnectionOptions server) const;
  std::optional<Lock> acquire();
  std::optional<Lock> wait_for_lock(const std::stop_token& stop) const;
  std::optional<Lock> acquire_in_time();
  int run_under(Lock& lock);
  int release(Lock& lock, int status) const;
  pid_t commands_group() const;

  const RunArguments& arguments_;
  LeaseTiming timing_;
  KeeperMeans means_;
  SignalReader signals_;
  RedisMutex mutex_;
  pid_t first_group_ = ::getpgrp();
};

Connection Keeper::connect(ConnectionOptions server) const {
  server.connect_timeout = timing_.answer_timeout();
  server.command_timeout = timing_.answer_timeout();
  return Connection{std::move(server)};
}

int Keeper::run() {
  // Out of the way of signals to the whole group, of SIGKILL above all. In a PID namespace whose group leader is outside,
  // the group has no number by which COMMAND could join it again; but there the kernel kills all when the watcher dies.
  if (first_group_ != 0) ::setpgid(0, 0);
  auto lock = acquire_in_time();
  if (lock) return run_under(*lock);
  if (!arguments_.quiet) {
    say("the lock '" + arguments_.key + "' " + (arguments_.wait > 0ms ? "was still taken after the wait" : "is taken"));
  }
  return arguments_.conflict_status;
}

/// Nothing if the lock is taken. Throws EndedBySignal, with nothing held, if a signal asked for the end.
std::optional<Lock> Keeper::acquire() {
  // Most locks are free: no thread has to be started to listen meanwhile. The attempt does not take long.
  auto lock = mutex_.try_acquire_lock(arguments_.key);
  if (const auto signal = signal_that_asks_to_end(means_.notes, signals_)) throw EndedBySignal{*signal};
  if (lock || arguments_.wait == 0ms) return lock;

  EndOnSignal end{means_.notes, signals_};
  try {
    lock = wait_for_lock(end.token());
  } catch (const LockCancelled&) {
    // By the signal below. That may also come in the very moment of success.
  }
  if (const auto signal = end.finish()) throw EndedBySignal{*signal};
  return lock;
}

std::optional<Lock> Keeper::wait_for_lock(const std::stop_token& stop) const {
  if (arguments_.wait) return mutex_.try_acquire_lock_for(arguments_.key, *arguments_.wait, stop);
  while (true) {
    if (auto lock = mutex_.try_acquire_lock_for(arguments_.key, for_ever, stop)) return lock;
  }
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
  Child child{arguments_.command, environment, commands_group(), means_.signals};
  const auto outcome = Guard{{lock, child, means_.page, means_.notes, signals_}, arguments_}.watch();
  if (outcome.end == Guard::End::lock_lost) return exit_status::lock_lost;
  return release(lock, outcome.exit_status);
}

/// Gives a lock back whose command has ended with `status`, and says how the whole ended.
int Keeper::release(Lock& lock, int status) const {
  const auto key = lock.key();
  try {
    lock.release();
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

int keep(const RunArguments& arguments, const ConnectionOptions& server, KeeperMeans means) noexcept {
  try {
    return Keeper{arguments, server, means}.run();
  } catch (...) {
    return say_failure(arguments);
  }
}

}  // namespace redismutex::cli
