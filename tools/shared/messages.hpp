#pragma once

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <redismutex/printable.hpp>
#include <string>
#include <string_view>

namespace redismutex::cli {

/// One line to standard error, in one piece: the command and other processes may be writing there too. If nobody takes
/// it there within `patience`, it is lost: a pipe that is full or a terminal that is held (Ctrl-S) must not hold us.
inline void say(std::string_view text, std::chrono::milliseconds patience = std::chrono::seconds{1}) {
  // A key may hold anything, but a message is one line, does nothing to a terminal, and a writable pipe takes it at once.
  const auto line = printable("redismutex: " + std::string{text}, PIPE_BUF - 1) + '\n';
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, static_cast<int>(patience.count())) <= 0) return;
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace redismutex::cli
