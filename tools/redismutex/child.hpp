#pragma once

#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

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

/// The command: a child process with this program's stdin, stdout, stderr and original signals. The kernel kills it if
/// this program dies, so start it in the main thread. For all processes that it leaves behind, this one takes the place
/// of init.
class Child {
 public:
  /// `variables` are NAME=value, added to the environment. Throws CannotStart.
  Child(const std::vector<std::string>& command, const std::vector<std::string>& variables, const Signals& signals);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Looks after children that have ended, and says the command's exit status (128+N for a signal) once it is one.
  std::optional<int> reap();

  /// Sends a signal to the command itself.
  void signal(int number) const;

  /// Sends a signal to the command and its family.
  void signal_family(int number) const;

  /// Whether the command or any of its family is alive. The family is everything it started, but for what has gone into
  /// a session of its own: that is a daemon and may stay.
  bool has_family() const { return !family().empty(); }

 private:
  std::vector<pid_t> family() const;

  pid_t pid_;
  std::optional<int> exit_status_;
};

}  // namespace redismutex::cli
