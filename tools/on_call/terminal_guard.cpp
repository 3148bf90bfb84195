#include "terminal_guard.hpp"

#define NCURSES_NOMACROS
#include <ncurses.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace redismutex::cli {
namespace {

volatile std::sig_atomic_t asked_by = 0;

// For a handler, which may use neither the heap nor curses.
termios modes{};
std::array<char, 256> farewell{};

void note(int signal) { asked_by = signal; }

void put_right_and_crash(int signal) {
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, farewell.data(), std::strlen(farewell.data()));
  ::tcsetattr(STDIN_FILENO, TCSANOW, &modes);
  ::raise(signal);  // its disposition is the default again
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

void append(const char* capability) {
  const char* const text = ::tigetstr(capability);
  if (text == nullptr || text == reinterpret_cast<const char*>(-1)) return;
  const std::size_t size = std::strlen(text);
  const std::size_t at = std::strlen(farewell.data());
  if (at + size < farewell.size()) std::copy_n(text, size + 1, farewell.begin() + at);
}

}  // namespace

TerminalKind terminal_kind() {
  // initscr() would say what is wrong by itself, and end this process.
  int found = 0;
  if (::setupterm(nullptr, STDOUT_FILENO, &found) != OK)
    return found == 1 ? TerminalKind::only_lines : TerminalKind::unknown;
  const char* const move = ::tigetstr("cup");
  const bool can_move = move != nullptr && move != reinterpret_cast<const char*>(-1);
  ::del_curterm(::cur_term);
  return can_move ? TerminalKind::screen : TerminalKind::only_lines;
}

TerminalGuard::TerminalGuard() {
  asked_by = 0;
  ::tcgetattr(STDIN_FILENO, &modes);
  for (const int signal : ends) handle(signal, note, 0);
  for (const int signal : crashes) handle(signal, put_right_and_crash, static_cast<int>(SA_RESETHAND | SA_NODEFER));
}

TerminalGuard::~TerminalGuard() {
  for (const int signal : ends) handle(signal, SIG_DFL, 0);
  for (const int signal : crashes) handle(signal, SIG_DFL, 0);
}

void TerminalGuard::learn() {
  for (const auto* capability : {"sgr0", "cnorm", "rmkx", "rmcup"}) append(capability);
}

int TerminalGuard::signal() const noexcept { return asked_by; }

}  // namespace redismutex::cli
