#include "repeat.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <redismutex/errors.hpp>
#include <utility>

#include "colours.hpp"
#include "shared/duration.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

/// From the upper left corner on, and nothing of the former screen behind it.
std::string redrawn(const std::string& screen) {
  constexpr auto rest_of_line = "\x1b[K\n";
  std::string text = "\x1b[H";
  for (const char c : screen) {
    if (c == '\n')
      text += rest_of_line;
    else
      text += c;
  }
  return text + "\x1b[J";
}

/// Ends this process, as a write would, if nobody reads standard output any more: until there is something to write it may be long.
void pause_while_read(std::chrono::milliseconds pause) {
  pollfd out{STDOUT_FILENO, 0, 0};
  constexpr std::chrono::milliseconds longest = std::chrono::hours{24};
  if (::poll(&out, 1, static_cast<int>(std::min(pause, longest).count())) <= 0) return;
  std::raise(SIGPIPE);
  std::_Exit(exit_status::ended_by_signal(SIGPIPE));  // it is blocked
}

}  // namespace

RepeatOption::RepeatOption(CLI::App& app) {
  // A flag with a value: `--watch KEY` must not take KEY for it.
  app.add_flag("--watch", *text_,
               "look again every second, or --watch=TIME: on a terminal the screen is "
               "drawn anew, else a line is printed for each change")
      ->take_last();
}

std::optional<std::chrono::milliseconds> RepeatOption::pause() const {
  if (text_->empty()) return std::nullopt;
  if (*text_ == "true") return 1s;
  return parse_duration("--watch", *text_, {100ms, 24h});
}

[[noreturn]] void print_again(std::chrono::milliseconds pause, const std::function<std::string()>& look) {
  bool is_away = false;
  for (;; pause_while_read(pause)) {
    try {
      const std::string text = look();
      is_away = false;
      if (!text.empty()) std::cout << text << std::flush;
    } catch (const LoginError&) {
      throw;
    } catch (const ConnectionError& error) {
      if (!std::exchange(is_away, true)) say(error.what());
    }
    if (!std::cout) throw std::runtime_error{"cannot write to standard output"};
  }
}

[[noreturn]] void repeat(std::chrono::milliseconds pause, const std::function<Shown()>& look) {
  const bool draws = stdout_is_terminal();
  if (draws) std::cout << "\x1b[2J";
  print_again(pause, [&] {
    const Shown shown = look();
    return draws ? redrawn(shown.screen) : shown.changes;
  });
}

}  // namespace redismutex::cli
