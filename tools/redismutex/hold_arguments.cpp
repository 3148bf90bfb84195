#include "hold_arguments.hpp"

#include <limits>
#include <memory>
#include <utility>

#include "shared/declarations.hpp"
#include "shared/duration.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds shortest_lease = 100ms;
constexpr milliseconds longest_lease = 24h * 365;

constexpr auto hold_usage = R"(Examples:
  redismutex hold --with $$ deploy || exit     # in a script: for the rest of it
  redismutex hold -n --with $$ deploy || exit  # only if it is free, else 75
  redismutex hold --lease 2h --label 'new disks, ask Ann' backup
  redismutex hold deploy                       # until Ctrl-C or Ctrl-D

Usage: redismutex hold [OPTIONS] [--with PID | --lease TIME] KEY
)";
constexpr auto hold_details =
    R"(Prints one line once the mutex is held, "held KEY ID TOKEN": the owner's id as stored at the key, and the fencing token, a
number that rises with each acquisition. Control characters in KEY are shown as in C.

Without --with and --lease redismutex keeps the lock until it gets a signal, or until its standard input ends. Where
standard input is closed or /dev/null only a signal ends it. If the lock is lost it ends with status 79.

--with PID returns at once when the lock is held. A process of its own, lock-holder, keeps it and gives it back when PID
ends, in whatever way. If the lock is lost, it sends PID a SIGTERM, and SIGKILL before the lease can end. A SIGTERM to
lock-holder is sent to PID too: PID never runs on without the lock. But what PID has started is not ended: where that
matters, use redismutex run. If lock-holder is killed (SIGKILL) the lease ends, and PID runs on.

--lease TIME lets no process stay: the lock ends after TIME, or with: redismutex break KEY

A server that is away is waited for as long as the lock is. A login in a file is read again for each connection.

Exit status:
    0  held (--with, --lease), or kept until the end
   64  usage error, no server named, or no such PID
   69  server unreachable                77  login refused
   70  internal error, or refused        79  lock lost
   75  not acquired (-n, -w), or as -E  128+N  signal N ended the wait)";

pid_t parse_pid(const std::string& text) { return parse_number("--with", text, 1, std::numeric_limits<pid_t>::max()); }

}  // namespace

HoldParser::HoldParser(CLI::App& app)
    : lock_{app,
            arguments_,
            {.other_urls = "those of redismutex run",
             .quiet = "say nothing about a mutex that is taken; errors are still said",
             .label = "what people read who look at the mutex; default: hold, the name of the "
                      "process PID, and pid and host"}} {
  app.description(about_hold);
  set_help(app, hold_usage, hold_details);
  auto* const with = app.add_option_function<std::string>(
                            "--with", [this](const std::string& text) { arguments_.with = parse_pid(text); },
                            "return when it is held, and keep it until this process ends")
                         ->type_name("PID");
  add_duration(
      app, "--lease", {shortest_lease, longest_lease}, [this](milliseconds said) { arguments_.lease = said; },
      "lock it for so long, and return; no process stays")
      ->excludes(with)
      ->excludes(app.get_option("--expiry"));
  app.add_flag("--json", arguments_.json, "print a JSON object in place of the line");
}

HoldArguments HoldParser::finish() {
  if (arguments_.with && arguments_.conflict_status == 0) {
    throw CLI::ValidationError("--conflict-exit-code", "0 says with --with that the mutex is held");
  }
  lock_.finish();
  return std::move(arguments_);
}

std::shared_ptr<void> declare_hold(CLI::App& app) {
  return std::make_shared<HoldParser>(*app.add_subcommand("hold", about_hold));
}

std::variant<HoldArguments, Finished> parse_hold_arguments(std::vector<std::string> words) {
  constexpr auto name = "redismutex hold";
  CLI::App app{about_hold, name};
  HoldParser parser{app};
  std::optional<HoldArguments> arguments;
  const auto finished = parse_words(app, std::move(words), name, [&] { arguments = parser.finish(); });
  if (finished) return *finished;
  return *std::move(arguments);
}

}  // namespace redismutex::cli
