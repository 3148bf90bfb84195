#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "command.hpp"
#include "support/channel.hpp"
#include "support/posix.hpp"

namespace redismutex::testing {

/// A program in the foreground of a terminal of its own, started by a little shell that does job control: what the shell
/// sees is what a user's shell would see.
class TerminalJob {
 public:
  explicit TerminalJob(const Program& program);

  /// Keys as typed: "\x03" is Ctrl-C, "\x1a" is Ctrl-Z.
  void type(std::string_view keys) const;

  /// What was written to the terminal since the last call.
  std::string output() const;

  /// Gives the terminal another size, which the kernel tells the foreground group by SIGWINCH.
  void resize() const;

  /// The next thing the shell sees of its job: "stopped", "exit code N" or "killed by ...". Nothing if none within limit.
  std::optional<std::string> next_event() { return events_.receive(limit); }

  /// Of the process the shell started, and of the whole job (its process group).
  pid_t pid() const noexcept { return pid_; }

  /// What `fg` does to a stopped job.
  void go_on() const;

  /// The terminal goes away.
  void hang_up() { master_ = Descriptor(); }

 private:
  Descriptor master_;
  Channel events_;
  std::optional<ChildProcess> shell_;
  pid_t pid_ = 0;
};

/// A program that is itself the leader of the session that has the terminal, as under `ssh -t` and `tmux new-session`.
class SessionLeader {
 public:
  explicit SessionLeader(const Program& program);

  pid_t pid() const noexcept { return pid_; }

  /// The terminal goes away, as when its window is closed or the line is cut.
  void hang_up() { master_ = Descriptor(); }

  /// How the leader ended, as TerminalJob says it.
  std::optional<std::string> end() { return events_.receive(limit); }

 private:
  Descriptor master_;
  Channel events_;
  std::optional<ChildProcess> parent_;
  pid_t pid_ = 0;
};

}  // namespace redismutex::testing
