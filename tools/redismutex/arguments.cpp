#include <redismutex/config.hpp>

#include "arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "hold_arguments.hpp"
#include "late_option.hpp"
#include "lock_options.hpp"
#include "shared/declarations.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/subcommands.hpp"

namespace redismutex::cli {
namespace {

constexpr auto about = "Runs commands under a mutex for processes on many machines, kept in Redis or Valkey.";
constexpr auto run_usage = R"(Examples:
  redismutex run nightly-report ./report.sh
  redismutex run -n nightly-report ./report.sh  # give up if it runs anywhere
  redismutex status nightly-report              # who holds it, who waits
  redismutex run --help                         # more; others have one, too

Usage: redismutex SUBCOMMAND [OPTIONS] ...
       redismutex --help | --version
)";

constexpr auto about_run = "Runs COMMAND while holding the mutex KEY.";
constexpr auto usage_of_run = R"(Examples:
  redismutex run nightly-report ./report.sh      # wait for as long as it takes
  redismutex run -n nightly-report ./report.sh   # only if it is free, else 75
  redismutex run -w 30 deploy -- make deploy     # wait for at most 30 seconds
  redismutex run -n -q -E 0 nightly ./report.sh  # for cron: silent if taken
  redismutex run --url redis://db1/2 k sh -c 'echo "$REDISMUTEX_KEY is mine"'
  redismutex run --url-file three-urls k ./job   # a quorum of servers
  redismutex run --url embedded: k ./job         # one machine, no server

Usage: redismutex run [OPTIONS] KEY [--] COMMAND [ARG...]
)";
constexpr auto details_of_run =
    R"(The server's URL is the first that there is of: --url, --url-file, $REDISMUTEX_URL, $REDIS_URL,
$CREDENTIALS_DIRECTORY/redismutex-url, /etc/redismutex/url. A file has one line with a URL; lines that begin with # are
comments. Three URLs or more, an odd number (--url several times, or one in each line of the other places), are those of a
quorum: servers that know nothing of each other, of which a majority has to agree. A
password in --url is visible in the process list for a moment; one in the other places is not.

--url embedded: starts or joins a server of this user's in /tmp/redismutex-UID, which ends when nobody uses it. What stays is
a small file, dump.rdb: by it a lock whose lease has not ended still stands the next time, and tokens go on rising where the
clock was set back.

COMMAND sees REDISMUTEX_KEY, REDISMUTEX_VALUE (the owner's id, as stored at the key) and REDISMUTEX_FENCING_TOKEN, a number
that rises with each run, for resources that reject stale writers. Every signal sent to redismutex is passed on to COMMAND,
once. When the terminal goes away, COMMAND and all that it started get SIGHUP.

A server that is away is waited for as long as the lock is. A login in a file is read again for each connection.

The lock is renewed while COMMAND runs. If it is lost all the same, COMMAND and all that it started, daemons too, get
SIGTERM, and SIGKILL before the lease can end. This holds when any one process of redismutex is killed (SIGKILL, out of
memory) or stands still (SIGSTOP, a freezer). There are three: redismutex, its child lock-keeper, and signal-witness.
How far it goes:
  - redismutex and lock-keeper killed or stopped together: signal-witness kills COMMAND and what has $REDISMUTEX_VALUE in
    its environment as COMMAND has. What has thrown that away runs on.
  - All three killed together: COMMAND itself is killed, what it started runs on. All three frozen together: COMMAND runs
    on until they go on. Against these, run all of it in a systemd unit or a container, which end and freeze as a whole,
    or, as root: unshare --pid --fork --kill-child --mount-proc redismutex run ...
  - What COMMAND has started by others (systemctl, at, docker) is not stopped. What it runs as another user (sudo) is
    stopped only if redismutex is root.
  - Without /proc only COMMAND itself is stopped.

Exit status: that of COMMAND, 128+N if signal N ended it, or
   64  usage error, or no server named    77  login refused
   69  server unreachable                 79  lock lost, and COMMAND stopped
   70  internal error, or refused        126  COMMAND not executable
   75  not acquired (-n, -w), or as -E    127  COMMAND not found)";

/// The words of `redismutex run`, divided at the point from which on they are no business of ours.
struct DividedWords {
  std::vector<std::string> ours;  // up to and including KEY
  std::vector<std::string> command;
};

/// Whether the next word is the value of an option: `-w 5`, `-nqE 0`.
bool takes_next(const std::string& word, const CLI::App& run) {
  const auto wants_value = [&run](const std::string& name) {
    const auto* const option = run.get_option_no_throw(name);
    return option != nullptr && option->get_items_expected_min() > 0;
  };
  if (word[1] == '-') return wants_value(word);
  // What follows the first letter that wants one is its value.
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (wants_value({'-', word[i]})) return i + 1 == word.size();
  }
  return false;
}

/// CLI11 must not see the command: it would take "--" and "[a,b]" out of its arguments.
DividedWords divide(const std::vector<std::string>& words, const CLI::App& run) {
  std::size_t key = 0;
  for (; key < words.size(); ++key) {
    const auto& word = words[key];
    if (word == "--") {
      ++key;
      break;
    }
    if (word.size() < 2 || word[0] != '-') break;
    if (takes_next(word, run)) ++key;
  }
  const auto after_key = words.begin() + static_cast<std::ptrdiff_t>(std::min(key + 1, words.size()));
  DividedWords divided{{words.begin(), after_key}, {after_key, words.end()}};
  if (!divided.command.empty() && divided.command.front() == "--") divided.command.erase(divided.command.begin());
  return divided;
}

/// `redismutex run …` as CLI11 sees it.
class RunParser {
 public:
  explicit RunParser(CLI::App& app)
      : run_{*app.add_subcommand("run", about_run)},
        lock_{run_,
              arguments_,
              {.other_urls = "below",
               .quiet = "say nothing about a mutex that is taken, nor about processes that are "
                        "waited for; errors are still said",
               .label = "what people read who look at the mutex; default: the name of COMMAND, and "
                        "pid and host of redismutex"}} {
    set_help(run_, usage_of_run, details_of_run);
    run_.add_option_function<std::string>(
            "--background", [this](const std::string& text) { set_background(text); },
            "what becomes of processes that COMMAND leaves running when it ends: "
            "wait (the default) keeps the lock until they have ended, too, and ends "
            "only then; leave gives the lock back at once, and they run without it")
        ->type_name("HOW");
    run_.add_option("--report", arguments_.report,
                    "count this run in a file for Prometheus (node_exporter's textfile "
                    "collector): runs by outcome, times, and the exit status")
        ->type_name("FILE")
        ->check([](const std::string& file) { return file.empty() ? std::string{"names no file"} : std::string{}; });
    // Here for the help only: divide() keeps the command away from CLI11.
    run_.add_option("COMMAND", arguments_.command, "the program to run, and its arguments")->type_name("...");
  }

  const CLI::App& app() const { return run_; }

  RunArguments finish(std::vector<std::string> command) && {
    if (!arguments_.key.empty() && command.empty()) throw CLI::RequiredError("COMMAND");
    try {
      lock_.finish();
    } catch (const NoUrl& error) {
      throw NoUrl{error.what() + advice_on_late_option(command)};
    }
    arguments_.command = std::move(command);
    return std::move(arguments_);
  }

 private:
  void set_background(const std::string& text) {
    if (text != "wait" && text != "leave") {
      throw CLI::ValidationError("--background", "'" + text + "' is neither 'wait' nor 'leave'");
    }
    arguments_.background = text == "wait" ? Background::wait : Background::leave;
  }

  CLI::App& run_;
  RunArguments arguments_;
  LockOptions lock_;
};

}  // namespace

std::shared_ptr<void> declare_run(CLI::App& app) { return std::make_shared<RunParser>(app); }

std::variant<RunArguments, Finished> parse_arguments(std::vector<std::string> words) {
  CLI::App app{about, "redismutex"};
  set_help(app, run_usage);
  app.set_version_flag("--version", "redismutex " + std::string{version()}, "show the version");
  RunParser run{app};
  const bool asks = !words.empty() && words.front().starts_with("-");
  if (asks) {  // for the help, which lists them all
    app.add_subcommand("hold", about_hold);
    for (const auto& [name, about_it] : on_call_subcommands)
      app.add_subcommand(std::string{name}, std::string{about_it});
  }

  const bool runs = !words.empty() && words.front() == "run";
  DividedWords divided{words, {}};
  if (runs) {
    divided = divide({words.begin() + 1, words.end()}, run.app());
    divided.ours.insert(divided.ours.begin(), "run");
  } else if (!words.empty() && app.get_option_no_throw(words.front()) == nullptr) {
    say("'" + words.front() + "' is no subcommand");
    say("try: redismutex --help");
    return exit_status::usage;
  }
  std::optional<RunArguments> arguments;
  const auto finished = parse_words(app, std::move(divided.ours), runs ? "redismutex run" : "redismutex", [&] {
    if (!runs) throw CLI::RequiredError("a subcommand");
    arguments = std::move(run).finish(std::move(divided.command));
  });
  if (finished) return *finished;
  return *std::move(arguments);
}

}  // namespace redismutex::cli
