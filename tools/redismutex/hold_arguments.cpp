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

constexpr milliseconds shortest_lease = 100ms;  // less leaves no time to renew it
constexpr milliseconds longest_expiry = 24h;    // a dead owner blocks the others for as long
constexpr milliseconds longest_lease = 24h * 365;
constexpr milliseconds longest_wait = 24h * 365;
constexpr std::size_t longest_label = 512;

constexpr auto usage = R"(Examples:
  redismutex hold --with $$ deploy || exit          # in a script: for the rest of it
  redismutex hold -n --with $$ deploy || exit       # only if it is free (else exit status 75)
  redismutex hold --lease 2h --label 'new disks, ask Ann' backup     # for maintenance
  redismutex hold deploy                            # until Ctrl-C or Ctrl-D

Usage: redismutex hold [OPTIONS] [--with PID | --lease TIME] KEY
)";
constexpr auto details =
    R"(Prints one line once the mutex is held, "held KEY ID TOKEN": the owner's id as stored at the key, and the fencing token, a
number that rises with each acquisition. Control characters in KEY are shown as in C.

Without --with and --lease redismutex keeps the lock until it gets a signal, or until its standard input ends. Where
standard input is closed or /dev/null only a signal ends it. If the lock is lost it ends with status 79.

--with PID returns at once when the lock is held. A process of its own, lock-holder, keeps it and gives it back when PID
ends, in whatever way. If the lock is lost, it sends PID a SIGTERM, and SIGKILL before the lease can end. A SIGTERM to
lock-holder is sent to PID too: PID never runs on without the lock. But what PID has started is not ended: where that
matters, use redismutex run. If lock-holder is killed (SIGKILL) the lease ends, and PID runs on.

--lease TIME lets no process stay: the lock ends after TIME, or with: redismutex break KEY

Exit status:
    0  held (--with, --lease), or kept until the end    75  not acquired (-n, -w)
   64  usage error, no server named, or no such PID     77  login refused
   69  server unreachable                               79  lock lost
   70  internal error, or refused                    128+N  signal N ended the wait)";

pid_t parse_pid(const std::string& text) { return parse_number("--with", text, 1, std::numeric_limits<pid_t>::max()); }

}  // namespace

HoldParser::HoldParser(CLI::App& app)
    : arguments_{.server = {}, .wait = {}, .lease = {}, .expiry = 7s, .with = {}, .label = {}, .key = {}} {
  app.description(about_hold);
  set_help(app, usage, details);
  find_url_ = add_url_options(app,
                              "the server: redis://, rediss://, valkey://, valkeys://, unix://, or\n"
                              "embedded: for a private one of this user on this machine; the other\n"
                              "places for it are those of redismutex run");
  auto* const nonblock = app.add_flag_callback(
      "-n,--nonblock", [this] { arguments_.wait = 0ms; }, "do not wait for a taken mutex");
  app.add_option_function<std::string>(
         "-w,--wait",
         [this](const std::string& text) {
           arguments_.wait = parse_seconds("--wait", text, {0ms, longest_wait});
         },
         "wait at most so long; 0 is the same as -n; without either, for ever")
      ->type_name("SECONDS")
      ->excludes(nonblock);
  auto* const with = app.add_option_function<std::string>(
                            "--with", [this](const std::string& text) { arguments_.with = parse_pid(text); },
                            "return when it is held, and keep it until this process ends")
                         ->type_name("PID");
  auto* const expiry = app.add_option_function<std::string>(
                              "--expiry",
                              [this](const std::string& text) {
                                arguments_.expiry = parse_seconds("--expiry", text, {shortest_lease, longest_expiry});
                              },
                              "how long others are locked out if this machine dies; default 7")
                           ->type_name("SECONDS");
  app.add_option_function<std::string>(
         "--lease",
         [this](const std::string& text) {
           arguments_.lease = parse_duration("--lease", text, {shortest_lease, longest_lease});
         },
         "lock it for so long, and return; no process stays. Seconds, or with a\n"
         "unit: 30m, 2h, 1d")
      ->type_name("TIME")
      ->excludes(with)
      ->excludes(expiry);
  app.add_flag("--fencing")->description("mint a fencing token: this is always done");
  app.add_option("--label", arguments_.label, "what people are told of the holder, who look at the lock")
      ->type_name("TEXT");
  app.add_flag("--json", arguments_.json, "print a JSON object in place of the line");
  app.add_option("KEY", arguments_.key, "the name of the mutex")->required()->type_name("");
}

HoldArguments HoldParser::finish() {
  if (arguments_.key.empty()) throw CLI::ValidationError("KEY", "must not be empty");
  if (arguments_.label.size() > longest_label) {
    throw CLI::ValidationError("--label", "has more than " + std::to_string(longest_label) + " bytes");
  }
  arguments_.server = find_url_();
  check_embedded(arguments_.server);
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
