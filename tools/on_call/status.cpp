#include "status.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <redismutex/operate.hpp>
#include <stdexcept>
#include <vector>

#include "colours.hpp"
#include "describe.hpp"
#include "look.hpp"
#include "metrics.hpp"
#include "moments.hpp"
#include "notes.hpp"
#include "quorum_view.hpp"
#include "repeat.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/shell_word.hpp"
#include "words.hpp"

namespace redismutex::cli {
namespace {

constexpr int most_waiters = 1'000'000'000;
constexpr std::size_t most_metrics = 100;  // keys: each is four series, which a database keeps for months

constexpr auto status_usage = R"(Examples:
  redismutex status nightly-report                # who holds it, who waits
  redismutex status --waiters all deploy          # all who wait
  redismutex status -q deploy && echo taken       # for scripts: says nothing
  redismutex status --watch deploy                # again every second
  redismutex status --json deploy | jq .holder.host
  redismutex status --url-file three-urls deploy  # at a quorum
  redismutex status --prometheus deploy | sponge /var/lib/metrics/locks.prom

Usage: redismutex status [OPTIONS] KEY...
)";
constexpr auto status_details =
    R"(To be taken is to be held, or to have something else stored at the key. A look is not a lock: what was free a moment
ago may be taken now.

Of a quorum (--url several times) it shows what each server has, and who holds the mutex at a majority of them. --watch and --prometheus look at one
server.

--prometheus prints gauges: redismutex_lock_held, redismutex_lock_waiting, redismutex_lock_lease_seconds and
redismutex_lock_held_since_timestamp_seconds, each with the label lock="KEY". A failure prints none of them.

Exit status: 0, or
    1  with -q: one of the keys is free     70  internal error, or refused
   64  usage error, or no server named      77  login refused
   69  server unreachable)";

struct StatusOptions {
  std::vector<std::string> keys;
  bool quiet = false;
  bool json = false;
  bool prometheus = false;
  Lookout::Options look;
  RepeatOption repeat;
  ColourOption colour;

  explicit StatusOptions(CLI::App& app) : repeat{app}, colour{app} {}
};

/// Of the last key, the moment that the screen shows.
std::string headline(const std::vector<Inspection>& seen, std::chrono::milliseconds pause) {
  const WallTime now = seen.back().seen_at;
  return clock_text(now, now) + ", again every " + duration_text(pause) + "; Ctrl-C ends this\n\n";
}

Shown show(const StatusOptions& options, Lookout& lookout, const std::vector<Inspection>& seen) {
  Shown shown;
  for (const Inspection& each : seen) {
    if (options.json) {
      shown.screen += json_line(each, lookout.server());
    } else {
      shown.screen += (shown.screen.empty() ? "" : "\n") + describe(each, lookout.server(), options.colour.colours());
    }
  }
  return shown;
}

/// Somebody who takes it for `ls`.
void say_patterns(const std::vector<Inspection>& seen) {
  for (const Inspection& each : seen) {
    if (each.state != Inspection::State::free || each.key.find('*') == std::string::npos) continue;
    say("'" + printable(each.key) + "' is looked at as a name; for a pattern: redismutex ls " +
        shell_operand(each.key));
  }
}

int look_once(const StatusOptions& options, Lookout& lookout) {
  const auto seen = lookout.look(options.keys, options.look);
  if (options.quiet) {
    const auto is_free = [](const Inspection& each) { return each.state == Inspection::State::free; };
    return std::any_of(seen.begin(), seen.end(), is_free) ? 1 : 0;
  }
  std::cout << show(options, lookout, seen).screen;
  if (options.json) return 0;
  say_missing_rights(seen);
  say_patterns(seen);
  return 0;
}

/// The same at a quorum.
int look_at_all(const StatusOptions& options, const ServerOption& server) {
  // The ids of a quorum's locks have the tag of their connection to the first server: at the others only names tell who it is.
  QuorumLookout lookout{server.all()};
  auto views = lookout.look(options.keys, options.look);
  const auto is_unknown = [](const QuorumView& view) {
    return std::any_of(view.votes.begin(), view.votes.end(), [](const Vote& vote) {
      return vote.seen && vote.seen->state == Inspection::State::held && !vote.seen->client;
    });
  };
  if (!options.quiet && std::any_of(views.begin(), views.end(), is_unknown)) {
    Lookout::Options deep = options.look;
    deep.deep = true;
    views = lookout.look(options.keys, deep);
  }
  if (options.quiet) {
    return std::any_of(views.begin(), views.end(), [](const QuorumView& view) { return view.is_free(); }) ? 1 : 0;
  }
  std::string text;
  for (const QuorumView& view : views) {
    if (!options.json && !text.empty()) text += "\n";
    text += options.json ? json_line(view) : describe(view, options.colour.colours());
  }
  std::cout << text;
  return 0;
}

/// What must differ for a line to be printed.
std::string essence(const Inspection& seen) {
  return state_name(seen.state) + seen.value + std::to_string(seen.waiting);
}

[[noreturn]] void look_again(const StatusOptions& options, Lookout& lookout, std::chrono::milliseconds pause) {
  std::vector<std::string> before(options.keys.size());
  repeat(pause, [&] {
    const auto seen = lookout.look(options.keys, options.look);
    Shown shown = show(options, lookout, seen);
    if (!options.json) shown.screen = headline(seen, pause) + shown.screen;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (std::exchange(before.at(i), essence(seen[i])) == before.at(i)) continue;
      shown.changes += options.json
                           ? json_line(seen[i], lookout.server())
                           : utc_text(seen[i].seen_at) + " " + describe_shortly(seen[i], lookout.server()) + "\n";
    }
    return shown;
  });
}

int print_metrics(std::vector<std::string> keys, const ServerOption& server) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (keys.size() > most_metrics) {
    throw std::invalid_argument{"--prometheus: " + std::to_string(keys.size()) + " keys, at most " +
                                std::to_string(most_metrics) + " are allowed"};
  }
  std::cout << metrics_of(inspect(server.connect(), keys, {.waiters = 0, .clients = false}));
  return 0;
}

int run_status(const StatusOptions& options, const ServerOption& server) {
  const auto pause = options.repeat.pause();
  if (options.keys.empty()) throw CLI::RequiredError("KEY");
  if (pause && options.quiet) throw CLI::ValidationError("-q", "says nothing, and excludes --watch");
  if (options.prometheus && (pause || options.quiet || options.json)) {
    throw CLI::ValidationError("--prometheus", "excludes -q, --json and --watch");
  }
  if (options.prometheus) return print_metrics(options.keys, server);
  if (!pause && server.is_quorum()) return look_at_all(options, server);
  Lookout lookout{server};
  if (pause) look_again(options, lookout, *pause);
  return look_once(options, lookout);
}

}  // namespace

Run add_status(CLI::App& app, const ServerOption& server) {
  set_help(app, status_usage, std::string{where_the_url_is} + "\n\n" + status_details);
  const auto options = std::make_shared<StatusOptions>(app);
  app.add_flag("-q,--quiet", options->quiet, "say nothing: the exit status is 0 if all keys are taken, else 1");
  app.add_option_function<std::string>(
         "--waiters",
         [options](const std::string& text) {
           options->look.waiters = text == "all"
                                       ? Lookout::all_waiters
                                       : static_cast<std::size_t>(parse_number("--waiters", text, 0, most_waiters));
         },
         "how many of those who wait to show, or 'all'; default 10")
      ->type_name("N");
  app.add_flag("--deep", options->look.deep,
               "look for the processes among all connections of the server, which finds "
               "those that had to connect anew; costs the server 10 ms for 1,000 of them");
  app.add_flag("--json", options->json, "for programs: a line with an object for each key");
  app.add_flag("--prometheus", options->prometheus, "for Prometheus's textfile collector: gauges of at most 100 keys");
  add_words(app, "KEY", options->keys, "the names of the mutexes");
  return [options, &server] { return run_status(*options, server); };
}

}  // namespace redismutex::cli
