#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "support/memory_file.hpp"

namespace redismutex::testing {

/// How a process ended: by exit with `code`, or by `signal` when that is not 0.
struct ExitStatus {
  int code = 0;
  int signal = 0;

  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ExitStatus& status);
};

constexpr ExitStatus exited(int code) { return {.code = code, .signal = 0}; }
constexpr ExitStatus killed_by(int signal) { return {.code = 0, .signal = signal}; }

/// A program to run.
struct Program {
  std::vector<std::string> arguments;         // the first is the program; without '/' it is looked up in PATH
  std::vector<std::string> environment = {};  // NAME=value, each added to this process's own or in place of it
  std::string input = {};                     // what it reads from its standard input
};

/// A process started by a test, in a process group of its own. Move-only.
///
/// It never outlives the test: the destructor kills (-9) the group and reaps, and the kernel kills the process when the
/// *thread* that started it ends. So start it in the main thread or in one that stays.
class ChildProcess {
 public:
  /// Forks; the child runs `body` and ends with its result as exit code, without running destructors of the objects it
  /// inherited. An exception from `body` goes to stderr, exit code 99.
  explicit ChildProcess(const std::function<int()>& body);

  /// Starts a program; its output is captured. Exit code 127 if it cannot be started.
  explicit ChildProcess(const Program& program);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const noexcept { return pid_; }

  /// Sends `signal` to the process (not to its group). Harmless when it has ended.
  void kill(int signal) const;

  /// Stops the process (SIGSTOP) and returns when it stands still, or has ended.
  void pause() const;

  /// Lets a paused process go on (SIGCONT).
  void resume() const { kill(SIGCONT); }

  /// How it ended; nothing if it still runs after `limit`. May be called again. The process is reaped only by the
  /// destructor, so that its pid stays its own.
  std::optional<ExitStatus> wait(std::chrono::milliseconds limit) const;

  bool running() const { return !wait(std::chrono::milliseconds(0)); }

  /// What a program wrote so far.
  std::string stdout_text() const { return out_.read(); }
  std::string stderr_text() const { return err_.read(); }

 private:
  MemoryFile out_;
  MemoryFile err_;
  pid_t pid_ = 0;
};

}  // namespace redismutex::testing
