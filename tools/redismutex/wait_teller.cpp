#include "wait_teller.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <redismutex/errors.hpp>
#include <redismutex/printable.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "shared/holder.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto each = 1s;
constexpr auto short_absence = 3s;
constexpr std::size_t most_places = 100;  // that are looked through for ours

/// Nobody knows who is in the foreground of a terminal that is not the session's own.
bool can_be_redrawn(pid_t group) {
  const char* const terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view{terminal} == "dumb") return false;
  return group == 0 ? ::isatty(STDERR_FILENO) == 1 : ::tcgetpgrp(STDERR_FILENO) >= 0;
}

/// A longer line would leave its beginning behind.
std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - std::size_t{1} : 79;
}

/// "3rd in line", counting those that are alive.
std::string place_in_line(const Inspection& seen, const std::string& id) {
  std::size_t place = 1;
  for (const auto& waiter : seen.waiters) {
    if (waiter.id == id) return ordinal(place) + " in line";
    if (waiter.alive) ++place;
  }
  return seen.places > most_places ? "beyond the " + ordinal(most_places) + " in line" : std::string{};
}

}  // namespace

WaitTeller::WaitTeller(const LockServers& servers, const LockNews& news, const LockArguments& arguments, pid_t group)
    : servers_{servers}, news_{news}, arguments_{arguments}, group_{group}, on_terminal_{can_be_redrawn(group)} {
  if (arguments.quiet) return;
  try {
    thread_ = std::jthread{[this](const std::stop_token& stop) { tell(stop); }};
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): no thread to be had; the wait goes on untold
  }
}

WaitTeller::~WaitTeller() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (drawn_) draw({});
}

void WaitTeller::tell(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock{mutex};
  while (!stopped.wait_for(lock, stop, each, [] { return false; }) && !stop.stop_requested()) {
    try {
      show();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): untold this time
    }
  }
}

void WaitTeller::show() {
  if (on_terminal_) {
    // A shell's prompt is there while the job is in the background.
    if (group_ == 0 || ::tcgetpgrp(STDERR_FILENO) == group_) draw(present());
    return;
  }
  if (!arguments_.verbose) return say_absence();
  // Times pass, but they are no news.
  if (auto text = present(); text.substr(0, text.rfind(" for ")) != said_) {
    say(text);
    said_ = text.substr(0, text.rfind(" for "));
  }
}

/// Once for each.
void WaitTeller::say_absence() {
  const auto absence = news_.absence();
  if (!absence && news_.is_settled()) absence_said_ = false;
  if (!absence || absence_said_ || BootClock::now() - absence->since < short_absence) return;
  absence_said_ = true;
  say(present());
}

std::string WaitTeller::present() const {
  std::string text = "waiting for '" + arguments_.key + "'";
  if (const auto absence = news_.absence()) {
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(BootClock::now() - absence->since);
    return text + "; " + news_.whom() + " is away (" + absence->reason + ") for " + rough_duration(since);
  }
  return text + who_is_inside();
}

std::string WaitTeller::who_is_inside() const {
  try {
    const auto seen = servers_.inspect(arguments_.key, {.waiters = most_places});
    std::string text;
    if (const auto place = place_in_line(seen, news_.waiters_id()); !place.empty()) text += ", " + place;
    if (seen.state == Inspection::State::free) return text;
    return text + "; inside: " + holder(seen) + for_how_long(seen);
  } catch (const Error&) {  // without the rights to look, or the server has just gone
    return {};
  }
}

void WaitTeller::draw(const std::string& text) {
  const auto width = terminal_width();
  auto line = printable("redismutex: " + text);
  if (line.size() > width) line = printable(text, width);
  drawn_ = !text.empty();
  write_in_time(std::string{"\r"}.append(drawn_ ? line : "").append("\x1b[K"), 100ms);
}

}  // namespace redismutex::cli
