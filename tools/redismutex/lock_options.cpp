#include "lock_options.hpp"

#include <chrono>

#include "shared/duration.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds shortest_expiry = 100ms;  // less leaves no time to renew it
constexpr milliseconds longest_expiry = 24h;     // a dead owner blocks the others for as long
constexpr milliseconds longest_grace = longest_expiry;
constexpr milliseconds longest_wait = 24h * 365;
constexpr int highest_status = 255;
constexpr int most_replicas = 1000;

Replicas parse_replicas(const std::string& text) {
  if (text == "majority") return Replicas::majority;
  if (text == "all") return Replicas::all;
  const bool is_number = !text.empty() && text.find_first_not_of("-0123456789") == std::string::npos;
  if (is_number) return parse_number("--replicas", text, 0, most_replicas);
  throw CLI::ValidationError("--replicas", "'" + text + "' is neither a number nor 'majority' nor 'all'");
}

}  // namespace

LockOptions::LockOptions(CLI::App& app, LockArguments& arguments, const Words& words) : arguments_{arguments} {
  find_url_ = add_url_options(app,
                              "the server: redis://, rediss://, valkey://, valkeys://, unix://, "
                              "redis+sentinel://, redis+cluster://, or embedded: for a private one of "
                              "this user on this machine; three times or more, an odd number, for the "
                              "independent servers of a quorum; the other places for it are " +
                                  words.other_urls);
  declare_waiting(app);
  declare_sayings(app, words);
  add_duration(
      app, "--expiry", {shortest_expiry, longest_expiry}, [this](milliseconds said) { arguments_.expiry = said; },
      "how long others are locked out if this machine dies: seconds, or with a unit, as all times here: 200ms, 30s, "
      "2h; default 7");
  app.add_option_function<std::string>(
         "--replicas", [this](const std::string& text) { arguments_.replicas = parse_replicas(text); },
         "so many replicas of the server must have received the lock, and each "
         "renewal, before it counts: a number, majority or all; default 0")
      ->type_name("N");
  add_duration(
      app, "--grace", {0ms, longest_grace}, [this](milliseconds said) { arguments_.grace = said; },
      "of a quorum: a server that was started less than so long ago has no vote "
      "yet; the longest --expiry of anybody, and the same for all; default 0");
  app.add_flag("--fencing")->group("");  // in scripts of before: there always is a fencing token
  app.add_option("KEY", arguments_.key, "the name of the mutex")->required()->type_name("");
}

void LockOptions::declare_waiting(CLI::App& app) {
  auto* const nonblock = app.add_flag_callback(
      "-n,--nonblock", [this] { arguments_.wait = 0ms; }, "do not wait for a taken mutex");
  add_duration(
      app, "-w,--wait", {0ms, longest_wait}, [this](milliseconds said) { arguments_.wait = said; },
      "wait at most so long; 0 is the same as -n; without either, for ever")
      ->excludes(nonblock);
  app.add_option_function<std::string>(
         "-E,--conflict-exit-code",
         [this](const std::string& text) {
           arguments_.conflict_status = parse_number("--conflict-exit-code", text, 0, highest_status);
         },
         "the exit status for a mutex that is taken; default 75")
      ->type_name("N");
  add_duration(
      app, "--patience", {0ms, longest_wait}, [this](milliseconds said) { arguments_.patience = said; },
      "while waiting, give up (exit status 69) when the server has been away for "
      "so long; without it, a server that is back within the wait is in time");
}

void LockOptions::declare_sayings(CLI::App& app, const Words& words) {
  app.add_flag("-q,--quiet", arguments_.quiet, words.quiet);
  app.add_flag("-v,--verbose", arguments_.verbose,
               "say what is waited for, what becomes of the connection, and what the "
               "server is badly set up for");
  app.add_option_function<std::string>(
         "--label",
         [this](const std::string& text) {
           if (text.empty() || text.size() > longest_label) {
             throw CLI::ValidationError("--label", "takes 1 to " + std::to_string(longest_label) + " bytes");
           }
           arguments_.label = text;
         },
         words.label)
      ->type_name("TEXT");
}

void LockOptions::finish() {
  if (arguments_.key.empty()) throw CLI::ValidationError("KEY", "must not be empty");
  arguments_.servers = find_url_();
  const auto& urls = arguments_.servers;
  if (!urls.are_quorum() && arguments_.grace) throw CLI::ValidationError("--grace", "is for a quorum, see --url");
  if (urls.are_quorum() && arguments_.replicas != Replicas{}) {
    throw CLI::ValidationError("--replicas", "is not for a quorum, whose servers have none");
  }
  for (const auto& url : urls.urls) check(url, urls);
}

void LockOptions::check(const std::string& url, const NamedUrls& all) {
  if (!url.starts_with(embedded_url)) return;
  if (all.are_quorum()) throw CLI::ValidationError(all.source, "'embedded:' is no server of a quorum");
  if (url != embedded_url) throw CLI::ValidationError(all.source, "'embedded:' takes nothing after the colon");
}

}  // namespace redismutex::cli
