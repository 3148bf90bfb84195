#pragma once

#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "family.hpp"
#include "notes.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// The command could not be started: no such program, or it can not be executed.
class CannotStart : public std::runtime_error {
 public:
  CannotStart(const std::string& program, const std::string& reason, int exit_status);

  /// As shells do: 127 if there is no such program, else 126.
  int exit_status() const noexcept { return exit_status_; }

 private:
  int exit_status_;
};

/// COMMAND: a child process with this program's stdin, stdout, stderr and original signals, in the process group of the
/// one that the shell knows. The kernel kills it if this process dies, so start it in the main thread.
class Child {
 public:
  /// `variables` are NAME=value, added to the environment; `group` is the process group, 0 for this process's own. Throws
  /// CannotStart.
  Child(const std::vector<std::string>& command, const std::vector<std::string>& variables, pid_t group,
        const Signals& signals);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// As kill_all(), unless all have ended or may go on: whatever goes wrong, no lock is given back before COMMAND is dead.
  ~Child();

  /// Looks after children that have ended, and says COMMAND's exit status (128+N for a signal) once it is one.
  std::optional<int> reap();

  /// Whether COMMAND and all that it started have ended, as of the last reap().
  bool all_have_ended() const noexcept { return all_have_ended_; }

  /// What COMMAND left behind goes on after this object.
  void leave_others() noexcept { all_have_ended_ = true; }

  /// Passes a signal on: to COMMAND, or, once it has ended, to those it left behind.
  void pass_on(const Note& note) const;

  /// Sends a signal to COMMAND and all that it started.
  void signal_all(int number) const;

  /// Kills COMMAND and all that it started, and returns when they have ended. What has not ended after ten seconds hangs
  /// in the kernel, or is not ours to kill: then it ends this process, which so does not give the lock back.
  void kill_all();

 private:
  Family family_;
  bool all_have_ended_ = false;
  std::optional<int> exit_status_;
  pid_t pid_;
};

}  // namespace redismutex::cli
