#pragma once

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <redismutex/printable.hpp>
#include <string>
#include <string_view>

namespace redismutex::cli {

/// To standard error, in one piece. If nobody takes it there within `patience`, it is lost: a pipe that is full or a terminal
/// that is held (Ctrl-S) must not hold us.
inline void write_in_time(std::string_view text, std::chrono::milliseconds patience) {
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, static_cast<int>(patience.count())) <= 0) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// One line to standard error, in one piece: the command and other processes may be writing there too. `patience`: as above.
inline void say(std::string_view text, std::chrono::milliseconds patience = std::chrono::seconds{1}) {
  // A key may hold anything, but a message is one line, does nothing to a terminal, and a writable pipe takes it at once.
  write_in_time(printable("redismutex: " + std::string{text}, PIPE_BUF - 1) + '\n', patience);
}

}  // namespace redismutex::cli
