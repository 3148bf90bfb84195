#include <algorithm>
#include <array>
#include <cstddef>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <set>
#include <stdexcept>
#include <unordered_set>
#include <utility>
#include <variant>

#include "api/looking.hpp"
#include "api/report.hpp"
#include "api/request.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "api/scan_pace.hpp"
#include "net/pause.hpp"
#include "protocol/info.hpp"
#include "protocol/inspect.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/ping.hpp"
#include "protocol/question.hpp"
#include "protocol/release.hpp"
#include "protocol/scan.hpp"
#include "protocol/slot_map.hpp"
#include "route/cluster.hpp"

namespace redismutex {
namespace {

using api::Runtime;
using api::report::Action;
using protocol::Key;
using Duration = std::chrono::steady_clock::duration;

constexpr std::size_t most_in_a_step = 1'000;
constexpr std::chrono::seconds longest_rest{1};
constexpr std::chrono::milliseconds between_rests{2};
constexpr std::chrono::milliseconds longest_collection{100};

// ---- bounds ---------------------------------------------------------------------------------------------------------

void check_at_most(std::string_view field, std::size_t value, std::size_t most) {
  if (value <= most) return;
  throw std::invalid_argument{std::string{field} + " is " + std::to_string(value) + ", at most " +
                              std::to_string(most) + " are allowed"};
}

void check(const InspectOptions& options) {
  check_at_most("InspectOptions::waiters", options.waiters, protocol::Inspect::most_waiters);
}

void check(const ScanOptions& options) {
  check(options.inspect);
  check_at_most("ScanOptions::count", options.count, most_in_a_step);
  if (options.count == 0) throw std::invalid_argument{"ScanOptions::count is 0, at least 1 is needed"};
  if (options.duty > 0 && options.duty <= 1) return;
  throw std::invalid_argument{"ScanOptions::duty is " + std::to_string(options.duty) +
                              ", it must be more than 0 and at most 1"};
}

/// Throws std::invalid_argument for what is no owner's id.
protocol::OwnerId owner_id(std::string_view id) {
  if (const auto parts = protocol::read_owner_id(id)) return protocol::OwnerId{*parts};
  constexpr std::size_t longest = 80;
  throw std::invalid_argument{"the id '" + printable(id, longest) +
                              "' is no owner's: those are UUIDs of version 4, in small letters"};
}

Inspection look_at_one(Runtime& runtime, const Key& key, const InspectOptions& options, const Action& action) {
  return std::move(api::look(runtime, {key}, options, protocol::Inspect::Which::each_key, action).front());
}

// ---- searching ------------------------------------------------------------------------------------------------------

/// One scan(): where it is, and what it has told of.
class Search {
 public:
  Search(Runtime& runtime, const ScanOptions& options)
      : runtime_{runtime},
        options_{options},
        servers_{servers_of(runtime)},
        round_trip_{measure()},
        pace_{options.count, round_trip_} {}

  ScanProgress run(const std::function<bool(const Inspection&)>& found) {
    do {
      const auto began = std::chrono::steady_clock::now();
      const std::vector<Inspection> seen = step();
      const Duration busy = std::chrono::steady_clock::now() - began - trips_ * round_trip_;
      for (const Inspection& each : seen) {
        if (!is_new_lock(each)) continue;
        ++progress_.found;
        if (!found(each)) return progress_;
      }
      if (cursor_ == "0") ++server_;
      progress_.complete = server_ == servers_.size();
      if (options_.progress) options_.progress(progress_);
      if (progress_.complete || !rest(busy)) return progress_;
    } while (!options_.stop.stop_requested());
    return progress_;
  }

 private:
  /// Each has keys that no other one has.
  static std::vector<route::Server*> servers_of(Runtime& runtime) {
    const route::Router& router = runtime.session().router();
    if (router.cluster() == nullptr) return {&router.any()};
    runtime.learn_map();
    return router.cluster()->masters();
  }

  /// Names beside keys are looked for, in place of keys.
  bool by_names() const noexcept { return options_.pattern.empty() && !options_.all; }

  /// How many keys there are. Returns how long a request takes that costs the server nothing.
  Duration measure() {
    progress_.total = 0;
    for (route::Server* server : servers_) {
      const auto keys = count_keys(server);  // may have to connect
      progress_.total = progress_.total && keys ? std::optional{*progress_.total + *keys} : std::nullopt;
    }
    constexpr int requests = 3;
    auto shortest = Duration::max();
    for (int i = 0; i < requests; ++i) {
      const auto began = std::chrono::steady_clock::now();
      count_keys(servers_.front());
      shortest = std::min(shortest, std::chrono::steady_clock::now() - began);
    }
    return shortest;
  }

  std::optional<std::size_t> count_keys(route::Server* server) {
    protocol::CountKeys machine;
    api::drive(runtime_, machine, action_, server);
    return machine.count();
  }

  std::string_view pattern() const noexcept {
    if (by_names()) return "redismutex:[:{a]*";  // lines and labels; a floor is of a lock that nobody has
    return options_.pattern.empty() ? std::string_view{"*"} : std::string_view{options_.pattern};
  }

  std::vector<Inspection> step() {
    protocol::Scan scan{cursor_, pattern(), pace_.count(),
                        by_names() ? protocol::Scan::Types::all : protocol::Scan::Types::strings};
    const auto began = std::chrono::steady_clock::now();
    api::request(runtime_, scan, action_, servers_[server_]);
    progress_.scanned += pace_.count();
    pace_.note(std::chrono::steady_clock::now() - began);
    auto& page = std::get<protocol::Scan::Page>(scan.outcome());
    cursor_ = std::move(page.cursor);
    if (progress_.total) progress_.scanned = std::min(progress_.scanned, *progress_.total);
    trips_ = 1;
    collect(page.keys);
    return look_at_collected();
  }

  /// The keys that may be locks and were not told of.
  void collect(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto key = by_names() ? protocol::key_beside(name) : possible_key(name);
      if (!key) continue;
      std::string text{key->text()};
      if (!told_.contains(text)) collected_.insert(std::move(text));
    }
  }

  /// A step finds few, and the server needs longer for a command than for a lock: so several steps are waited for, but not long.
  std::vector<Inspection> look_at_collected() {
    const auto now = std::chrono::steady_clock::now();
    const std::size_t at_once = protocol::Inspect::locks_at_once(options_.inspect.waiters);
    if (collected_.size() < at_once && cursor_ != "0" && now - looked_at_ < longest_collection) return {};
    looked_at_ = now;
    trips_ += static_cast<int>((collected_.size() + at_once - 1) / at_once);
    std::vector<Key> keys{collected_.begin(), collected_.end()};
    collected_.clear();
    return api::look(runtime_, keys, options_.inspect,
                     by_names() ? protocol::Inspect::Which::each_key : protocol::Inspect::Which::only_locks, action_);
  }

  static std::optional<Key> possible_key(const std::string& text) {
    if (text.empty() || text.size() > Key::max_size || text.starts_with(Key::prefix)) return std::nullopt;
    return Key{text};
  }

  bool is_new_lock(const Inspection& seen) {
    const bool has_id = by_names() || protocol::read_owner_id(seen.value);
    const bool is_taken = seen.state == Inspection::State::held || (seen.state == Inspection::State::foreign && has_id);
    return (is_taken || seen.waiting > 0) && told_.insert(seen.key).second;
  }

  /// After so much work of the server. False: the scan was stopped.
  ///
  /// Several steps follow each other before a long rest. A server that slept, or did something else, has to fetch from memory again what
  /// it needs for a step, which costs it a fifth more; and others are served between two steps, too.
  bool rest(Duration busy) {
    busy_ += std::max(busy, Duration::zero());
    if (busy_ < between_rests) return !options_.stop.stop_requested();
    const double share = 1 / options_.duty - 1;
    const auto pause = std::chrono::duration<double>{std::exchange(busy_, Duration::zero())} * share;
    const auto bounded = std::min<std::chrono::duration<double>>(pause, longest_rest);
    return net::pause_until(std::chrono::steady_clock::now() + std::chrono::duration_cast<Duration>(bounded),
                            options_.stop);
  }

  Runtime& runtime_;
  const ScanOptions& options_;
  const Action action_{"scan for locks"};
  const std::vector<route::Server*> servers_;
  std::size_t server_ = 0;  // the present one of them
  ScanProgress progress_;
  const Duration round_trip_;
  api::ScanPace pace_;
  std::string cursor_{"0"};
  int trips_ = 0;                    // of the present step
  Duration busy_{0};                 // since the last rest
  std::set<std::string> collected_;  // keys that are to be looked at
  std::chrono::steady_clock::time_point looked_at_ = std::chrono::steady_clock::now();
  std::unordered_set<std::string> told_;
};

// ---- breaking -------------------------------------------------------------------------------------------------------

/// Whether the lock, or the place with these details, was there and was given up. Holders in this process are told here: the server tells nobody
/// of what came by its own connection.
bool give_up(Runtime& runtime, const Key& key, const protocol::OwnerId& id, std::string_view details,
             const Action& action) {
  using protocol::Release;
  // Whatever was asked once is taken for done: that nobody knows when the lease ends must not count against that.
  Release machine{key,
                  id,
                  {.valid_until = protocol::Instant::max(),
                   .details = details,
                   .dead = Release::Dead::clear,
                   .label = details.empty() ? Release::Label::may_be_there : Release::Label::none}};
  try {
    api::drive(runtime, machine, action);
  } catch (const ConnectionError& error) {
    if (!machine.in_doubt()) throw;
    runtime.session().key_changed(key.text());
    throw OutcomeUnknownError{std::string{error.what()} + "; whether it was done is unknown: inspect the lock"};
  }
  api::raise_refusal(runtime, machine, action);
  const bool is_done = std::holds_alternative<Release::Released>(machine.outcome());
  if (is_done) runtime.session().key_changed(key.text());
  return is_done;
}

// ---- asking ---------------------------------------------------------------------------------------------------------

void check_question(std::span<const std::string> question) {
  constexpr std::array<std::string_view, 3> of_one_word{"PING", "TIME", "DBSIZE"};
  constexpr std::array<std::string_view, 6> of_two_words{"CONFIG GET",    "CLIENT ID",  "CLUSTER INFO",
                                                         "PUBSUB NUMPAT", "ACL WHOAMI", "ACL DRYRUN"};
  constexpr std::size_t most_words = 64;
  constexpr std::size_t most_bytes = 4096;
  std::size_t bytes = 0;
  for (const std::string& word : question) bytes += word.size();
  check_at_most("the number of words in a question", question.size(), most_words);
  check_at_most("the length of a question", bytes, most_bytes);
  const auto knows = [](const auto& all, const std::string& words) {
    return std::find(all.begin(), all.end(), words) != all.end();
  };
  if (!question.empty() && knows(of_one_word, question[0])) return;
  if (question.size() > 1 && knows(of_two_words, question[0] + " " + question[1])) return;
  throw std::invalid_argument{"ask: '" + printable(question.empty() ? "" : question[0], 80) +
                              "' is none of the questions that can be asked"};
}

}  // namespace

Inspection REDISMUTEX_ABI::inspect(const Connection& connection, std::string_view key, const InspectOptions& options) {
  const Key checked{key};
  check(options);
  const auto runtime = api::ConnectionAccess::runtime(connection);
  return look_at_one(*runtime, checked, options, Action{"inspect", checked});
}

std::vector<Inspection> REDISMUTEX_ABI::inspect(const Connection& connection, std::span<const std::string> keys,
                                                const InspectOptions& options) {
  std::vector<Key> checked;
  checked.reserve(keys.size());
  for (const std::string& key : keys) checked.emplace_back(key);
  check(options);
  const auto runtime = api::ConnectionAccess::runtime(connection);
  return api::look(*runtime, checked, options, protocol::Inspect::Which::each_key, Action{"inspect locks"});
}

ScanProgress REDISMUTEX_ABI::scan(const Connection& connection, const ScanOptions& options,
                                  const std::function<bool(const Inspection&)>& found) {
  check(options);
  if (!found) throw std::invalid_argument{"scan: there is no function to call for each lock"};
  const auto runtime = api::ConnectionAccess::runtime(connection);
  return Search{*runtime, options}.run(found);
}

Broken REDISMUTEX_ABI::break_lock(const Connection& connection, std::string_view key, std::string_view id) {
  const Key checked{key};
  const protocol::OwnerId owner = owner_id(id);
  const auto runtime = api::ConnectionAccess::runtime(connection);
  const Action action{"break", checked};
  if (give_up(*runtime, checked, owner, {}, action)) return Broken::broken;
  const Inspection seen = look_at_one(*runtime, checked, {.waiters = 0, .clients = false}, action);
  return seen.state == Inspection::State::free ? Broken::free : Broken::changed_hands;
}

bool REDISMUTEX_ABI::break_waiter(const Connection& connection, std::string_view key, const Waiter& waiter) {
  const Key checked{key};
  const protocol::OwnerId id = owner_id(waiter.id);
  const auto runtime = api::ConnectionAccess::runtime(connection);
  return give_up(*runtime, checked, id, waiter.details, Action{"break a place in line for", checked});
}

std::vector<ServerAddress> REDISMUTEX_ABI::cluster_masters(const Connection& connection) {
  const auto runtime = api::ConnectionAccess::runtime(connection);
  route::Cluster* const cluster = runtime->session().router().cluster();
  if (cluster == nullptr) return {};
  const Action action{"ask the cluster for its servers"};
  protocol::Ping first;  // passes over seeds that are not there
  api::request(*runtime, first, action);
  const route::Cluster::Informant informant = cluster->present();
  protocol::AskSlots machine{informant.address};
  api::request(*runtime, machine, action, informant.server);
  const auto& map = std::get<protocol::SlotMap>(machine.outcome());
  cluster->take_in(map);
  std::vector<ServerAddress> masters;
  for (const protocol::SlotRange& range : map.ranges) {
    if (std::find(masters.begin(), masters.end(), range.master) == masters.end()) masters.push_back(range.master);
  }
  return masters;
}

std::map<std::string, std::string> REDISMUTEX_ABI::server_info(const Connection& connection, std::string_view section) {
  const auto runtime = api::ConnectionAccess::runtime(connection);
  protocol::AskInfo machine{section};
  api::request(*runtime, machine, Action{"ask for INFO"});
  return std::get<protocol::AskInfo::Fields>(std::move(machine.outcome()));
}

ServerAnswer REDISMUTEX_ABI::ask(const Connection& connection, std::span<const std::string> question) {
  check_question(question);
  const auto runtime = api::ConnectionAccess::runtime(connection);
  const std::vector<std::string> words{question.begin(), question.end()};
  protocol::Question machine{words};
  const auto began = std::chrono::steady_clock::now();
  api::drive(*runtime, machine, Action{"ask the server about itself"});
  const auto round_trip = std::chrono::steady_clock::now() - began;
  auto& outcome = machine.outcome();
  return {.text = std::move(outcome.text),
          .list = std::move(outcome.list),
          .refused = outcome.refused,
          .round_trip = round_trip};
}

}  // namespace redismutex
