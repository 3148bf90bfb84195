#include "watch.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <redismutex/printable.hpp>
#include <utility>

#include "colours.hpp"
#include "describe.hpp"
#include "looker.hpp"
#include "moments.hpp"
#include "people.hpp"
#include "repeat.hpp"
#include "shared/duration.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "terminal_guard.hpp"
#include "watch_screen.hpp"
#include "watched.hpp"
#include "words.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto watch_usage = R"(Examples:
  redismutex watch                        # what is waited for, or has a label
  redismutex watch 'import:*'             # of these, the same
  redismutex watch deploy nightly-report  # these two
  redismutex watch deploy | tee log       # a line for each change

Usage: redismutex watch [OPTIONS] [PATTERN | KEY...]
)";
constexpr auto watch_details =
    R"(On a terminal the whole screen is used; the key ? explains it. Elsewhere a line is printed for each change. Between two
looks it glances at the owners, every 20 ms but for no more than a twentieth of the time: what comes and goes between two
glances is not seen. A single word with * ? or [ is a pattern, as in the server's command
KEYS. Without keys the database is gone through for new mutexes as 'redismutex ls' does, after each look, or in a large one for
a quarter of the time.

Exit status: 0 after q, or
   64  usage error, or no server named      77  login refused
   69  server unreachable                  130  interrupted
   70  internal error, or refused)";

struct WatchOptions {
  std::vector<std::string> words;
  std::chrono::milliseconds interval = 1s;
  bool json = false;
};

Choice choice_of(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0].find_first_of("*?[") != std::string::npos) return {.keys = {}, .pattern = words[0]};
  return {.keys = words, .pattern = {}};
}

/// ", since 2026-11-28T08:31:02.123Z".
std::string since(const Inspection& seen) {
  const auto held = held_since(seen);
  return held ? ", since " + utc_text(held->moment) : std::string{};
}

/// "2026-11-28T08:31:02.123Z orders:7 web3:812 -> web5:99, waited 2.3 s, 10 wait".
std::string line_of(const HandOver& change, const NamedServer& server) {
  const auto side = [&server](const Inspection& seen) {
    return seen.state == Inspection::State::free ? std::string{"free"} : short_holder_text(seen, server);
  };
  std::string line = utc_text(change.now.seen_at) + " " + printable(change.now.key) + " ";
  line += change.before ? side(*change.before) + " -> " + side(change.now)
                        : "held by " + side(change.now) + since(change.now);
  if (change.waited) line += ", waited " + duration_text(*change.waited);
  return line + ", " + std::to_string(change.now.waiting) + " wait\n";
}

[[noreturn]] void print_changes(Watched& watched, const WatchOptions& options) {
  constexpr auto look_whether_it_is_time = 10ms;
  bool has_said = false;  // that there are more
  print_again(look_whether_it_is_time, [&] {
    std::string lines;
    if (Watched::Clock::now() >= watched.next()) watched.step();
    if (watched.left_out() > 0 && !std::exchange(has_said, true)) {
      say("there are more mutexes than are watched at a time; name KEYs or a PATTERN");
    }
    for (const HandOver& change : watched.take_changes()) {
      lines += options.json ? json_line(change.now, watched.lookout().server())
                            : line_of(change, watched.lookout().server());
    }
    return lines;
  });
}

/// Ends this process, without waiting for a server that is silent.
[[noreturn]] void leave(int signal) {
  if (signal == 0) std::_Exit(0);
  if (signal == SIGINT) std::_Exit(exit_status::ended_by_signal(SIGINT));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::_Exit(exit_status::ended_by_signal(signal));
}

int say_unknown_terminal() {
  const char* const name = std::getenv("TERM");
  say(std::string{"watch: the terminal '"} + (name == nullptr ? "" : name) +
      "' is not known (TERM); try: TERM=xterm redismutex watch; or, for a line for each change: redismutex watch | "
      "cat");
  return exit_status::usage;
}

int run_watch(const WatchOptions& options, const ServerOption& server) {
  const bool may_draw = !options.json && stdout_is_terminal() && ::isatty(STDIN_FILENO) != 0;
  const TerminalKind terminal = may_draw ? terminal_kind() : TerminalKind::only_lines;
  if (terminal == TerminalKind::unknown) return say_unknown_terminal();
  const Choice choice = choice_of(options.words);
  Watched watched{server, choice, options.interval};
  watched.step();  // what is wrong is said before there is a screen
  if (terminal == TerminalKind::only_lines) print_changes(watched, options);
  Looker looker{watched};
  const int signal = [&] { return WatchScreen{looker, options.interval, !choice.keys.empty()}.run(); }();
  leave(signal);
}

}  // namespace

Run add_watch(CLI::App& app, const ServerOption& server) {
  set_help(app, watch_usage, std::string{where_the_url_is} + "\n\n" + watch_details);
  const auto options = std::make_shared<WatchOptions>();
  add_duration(
      app, "-n,--interval", {100ms, 24h}, [options](std::chrono::milliseconds said) { options->interval = said; },
      "how often to look at all of it: seconds, or with a unit; default 1");
  app.add_flag("--json", options->json, "for programs: a line with an object for each change");
  add_words(app, "KEY", options->words, "which mutexes; default: those that are waited for or have a label");
  return [options, &server] { return run_watch(*options, server); };
}

}  // namespace redismutex::cli
