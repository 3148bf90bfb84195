#include "ls.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <redismutex/operate.hpp>
#include <stdexcept>
#include <utility>

#include "colours.hpp"
#include "columns.hpp"
#include "describe.hpp"
#include "interrupt.hpp"
#include "look.hpp"
#include "moments.hpp"
#include "notes.hpp"
#include "people.hpp"
#include "progress.hpp"
#include "question.hpp"
#include "repeat.hpp"
#include "shared/duration.hpp"
#include "shared/exit_status.hpp"
#include "shared/help_text.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

constexpr std::size_t keys_that_take_time = 100'000;
constexpr int most_count = 1'000;
constexpr std::chrono::hours longest_age{24 * 365 * 100};

constexpr auto ls_usage = R"(Examples:
  redismutex ls                       # what is waited for, or has a label
  redismutex ls 'import:*'            # all mutexes whose names begin so
  redismutex ls --older 1h --sort wait
  redismutex ls -o key,holder | sort  # for scripts: no header
  redismutex ls --json 'import:*' | jq -r .key

Usage: redismutex ls [OPTIONS] [PATTERN]
)";
constexpr auto ls_details =
    R"(Without PATTERN and --all it finds the mutexes that somebody waits for, and those with a label, as 'redismutex run' gives
them. PATTERN is as in the server's command KEYS; with it, or with --all, each string that is an owner's id is a mutex.
All ways go through the whole database: about 1 s of the server's time for a million keys, of which it takes a quarter
(--rate). A database of its own for mutexes (redis://HOST/1) makes this cheap. Ctrl-C prints what was found so far.

Columns: key holder since lease waiting longest token id state. SINCE with an ≤ is the time since it was asked for.

Exit status: 0, or
   64  usage error, or no server named      75  not done: you said no
   69  server unreachable                   77  login refused
   70  internal error, or refused          130  interrupted)";

struct LsOptions {
  std::string pattern;
  bool all = false;
  bool yes = false;
  bool waiting = false;
  bool json = false;
  std::chrono::milliseconds older{0};
  Order order = Order::age;
  std::optional<std::vector<Column>> columns;
  double duty = 0.25;
  std::size_t count = most_count;
  RepeatOption repeat;
  ColourOption colour;

  explicit LsOptions(CLI::App& app) : repeat{app}, colour{app} {}
};

/// One way through the database.
class Listing {
 public:
  Listing(const LsOptions& options, Lookout& lookout) : options_{options}, lookout_{lookout} {}

  void gather() {
    std::stop_source stop;
    ScanOptions how{.pattern = options_.pattern,
                    .all = options_.all,
                    .count = options_.count,
                    .duty = options_.duty,
                    .inspect = {.waiters = 5},
                    .stop = stop.get_token()};
    how.progress = [&](const ScanProgress& progress) {
      if (interrupt_.requested() || !goes_on_with(progress)) stop.request_stop();
      line_.show(progress);
    };
    const auto found = [&](const Inspection& seen) {
      if (is_wanted(seen)) seen_.push_back(seen);
      return !interrupt_.requested();
    };
    end_ = scan(lookout_.connection(), how, found);
    line_.clear();
    lookout_.ask_for_role();
    sort(seen_, options_.order);
  }

  const std::vector<Inspection>& seen() const noexcept { return seen_; }
  bool interrupted() const noexcept { return interrupt_.requested(); }
  bool declined() const noexcept { return declined_; }

  std::string text() const {
    if (options_.json) {
      std::string lines;
      for (const Inspection& each : seen_) lines += json_line(each, lookout_.server());
      return lines;
    }
    const auto columns = options_.columns.value_or(usual_columns());
    const bool is_for_people = stdout_is_terminal();
    Table table;
    const bool has_header = is_for_people || !options_.columns;
    if (has_header) table.add(header_of(columns));
    for (const Inspection& each : seen_) {
      table.add(row_of(each, lookout_.server(), columns));
    }
    if (is_for_people) table.fit(fits_of(columns), terminal_width());
    return coloured(table.lines(), has_header);
  }

  /// What the rows are not.
  std::string footer() const {
    const auto foreign = std::count_if(seen_.begin(), seen_.end(),
                                       [](const Inspection& each) { return each.state == Inspection::State::foreign; });
    std::string text = std::to_string(seen_.size()) + (seen_.size() == 1 ? " lock" : " locks");
    if (foreign > 0) text += ", " + std::to_string(foreign) + " of them foreign";
    if (!seen_.empty()) text += ", each as it was when it was found";
    if (options_.pattern.empty() && !options_.all) {
      text += "; a lock that nobody waits for and that has no label is shown with PATTERN or --all only";
    }
    if (!end_.complete) text = "stopped after " + progress_text(end_) + ": " + text;
    return stdout_is_terminal() ? wrapped(text, terminal_width()) : text;
  }

 private:
  bool is_wanted(const Inspection& seen) const {
    if (options_.waiting && seen.waiting == 0) return false;
    if (options_.older.count() == 0 || age_of(seen) >= options_.older) return true;
    return never_ends(seen) && !held_since(seen);  // it may be as old as anything
  }

  /// Before much is asked of a server, a person is asked.
  bool goes_on_with(const ScanProgress& progress) {
    if (!options_.all || options_.yes || std::exchange(asked_, true)) return true;
    if (progress.total.value_or(0) <= keys_that_take_time) return true;
    const std::string cost = "There are " + grouped(*progress.total) + " keys, and each is looked at: about " +
                             std::to_string(*progress.total * 7 / 1'000'000 + 1) + " s of the server's time.";
    if (!can_ask()) throw std::invalid_argument{cost + " --yes does it without a question"};
    declined_ = !ask(cost + " Go on?");
    return !declined_;
  }

  std::string coloured(const std::vector<std::string>& lines, bool has_header) const {
    const Colours colours = options_.colour.colours();
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool is_header = has_header && i == 0;
      const std::size_t row = has_header ? i - 1 : i;
      const bool is_endless = !is_header && never_ends(seen_[row]);
      text += (is_header ? colours.dim(lines[i]) : is_endless ? colours.red(lines[i]) : lines[i]) + "\n";
    }
    return text;
  }

  const LsOptions& options_;
  Lookout& lookout_;
  Interrupt interrupt_;
  ProgressLine line_;
  bool asked_ = false;
  bool declined_ = false;
  std::vector<Inspection> seen_;
  ScanProgress end_;
};

int say_declined() {
  say("nothing was looked at");
  return exit_status::not_acquired;
}

int list_once(const LsOptions& options, Lookout& lookout) {
  Listing listing{options, lookout};
  listing.gather();
  if (listing.declined()) return say_declined();
  std::cout << listing.text() << std::flush;
  if (!options.json && !options.columns) {
    say_missing_rights(listing.seen());
    std::cerr << listing.footer() + "\n";  // in one piece: the output may be a pipe to who writes here, too
  }
  return listing.interrupted() ? exit_status::ended_by_signal(SIGINT) : 0;
}

/// Lines for what is not as it was the last time.
class Changes {
 public:
  std::string next(const std::vector<Inspection>& seen, const LsOptions& options, const NamedServer& server) {
    std::string lines;
    std::map<std::string, std::string> now;
    for (const Inspection& each : seen) {
      const std::string& essence = now[each.key] = each.value + " " + std::to_string(each.waiting);
      const auto it = before_.find(each.key);
      if (it != before_.end() && it->second == essence) continue;
      lines +=
          options.json ? json_line(each, server) : utc_text(each.seen_at) + " " + describe_shortly(each, server) + "\n";
    }
    for (const auto& [key, essence] : before_) {
      if (now.contains(key)) continue;
      Inspection gone;
      gone.key = key;
      gone.seen_at = wall_clock();
      lines +=
          options.json ? json_line(gone, server) : utc_text(gone.seen_at) + " " + describe_shortly(gone, server) + "\n";
    }
    before_ = std::move(now);
    return lines;
  }

 private:
  std::map<std::string, std::string> before_;
};

int run_ls(const LsOptions& options, const ServerOption& server) {
  const auto pause = options.repeat.pause();
  if (!options.pattern.empty() && options.all) {
    throw std::invalid_argument{"PATTERN and --all exclude each other"};
  }
  Lookout lookout{server};
  if (!pause) return list_once(options, lookout);
  Changes changes;
  repeat(*pause, [&] {
    Listing listing{options, lookout};
    listing.gather();
    if (listing.declined()) std::exit(say_declined());
    if (listing.interrupted()) std::exit(exit_status::ended_by_signal(SIGINT));
    return Shown{listing.text() + listing.footer() + "\n", changes.next(listing.seen(), options, lookout.server())};
  });
}

void add_choice(CLI::App& app, const std::shared_ptr<LsOptions>& options) {
  app.add_flag("-a,--all", options->all, "look at every key of the database");
  app.add_flag("-y,--yes", options->yes, "do not ask before --all looks at more than 100,000 keys");
  app.add_flag("-w,--waiting", options->waiting, "only those that somebody waits for");
  add_duration(
      app, "--older", {std::chrono::seconds{0}, longest_age},
      [options](std::chrono::milliseconds said) { options->older = said; },
      "only those that are held for so long, and those without an end of which nobody knows since when: 90s, 5m, "
      "1h, 2d");
  app.add_option_function<std::string>(
         "--rate", [options](const std::string& text) { options->duty = parse_number("--rate", text, 1, 100) / 100.0; },
         "how much of the time the server may work for this; default 25")
      ->type_name("PERCENT");
  app.add_option_function<std::string>(
         "--count",
         [options](const std::string& text) {
           options->count = static_cast<std::size_t>(parse_number("--count", text, 1, most_count));
         },
         "keys in one step at the most, in which the server does nothing else; by itself as "
         "many as take it less than 0.4 ms")
      ->type_name("N");
}

void add_form(CLI::App& app, const std::shared_ptr<LsOptions>& options) {
  app.add_option_function<std::string>(
         "-s,--sort", [options](const std::string& text) { options->order = parse_order("--sort", text); },
         "age (the default), wait, queue or key")
      ->type_name("ORDER");
  auto* const output =
      app.add_option_function<std::string>(
             "-o,--output", [options](const std::string& text) { options->columns = parse_columns("--output", text); },
             "only these columns: key,holder,...; no header unless on a terminal")
          ->type_name("COLUMNS");
  app.add_flag("--json", options->json, "for programs: a line with an object for each mutex")->excludes(output);
}

}  // namespace

Run add_ls(CLI::App& app, const ServerOption& server) {
  set_help(app, ls_usage, std::string{where_the_url_is} + "\n\n" + ls_details);
  const auto options = std::make_shared<LsOptions>(app);
  add_choice(app, options);
  add_form(app, options);
  app.add_option("PATTERN", options->pattern, "which keys; default: those that are waited for or have a label")
      ->type_name("");
  return [options, &server] { return run_ls(*options, server); };
}

}  // namespace redismutex::cli
