#pragma once

#include <array>
#include <csignal>

namespace redismutex::cli {

/// What can be done with the terminal that $TERM names.
enum class TerminalKind { screen, only_lines, unknown };
TerminalKind terminal_kind();

/// Gives the terminal back as it was, however this process ends, but by SIGKILL. Made before the screen is begun; there is one at a time.
///
/// Signals that ask for an end are noted, for the loop that draws to end in good order. In a crash (SIGSEGV, SIGABRT and the like) the
/// terminal is put right on the way down.
class TerminalGuard {
 public:
  TerminalGuard();
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

  /// Once the screen has begun: what this terminal must be told at the end.
  void learn();

  /// The signal that asks for an end; 0: none.
  int signal() const noexcept;

 private:
  static constexpr std::array ends{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  static constexpr std::array crashes{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
};

}  // namespace redismutex::cli
