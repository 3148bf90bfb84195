#include "watched.hpp"

#include <algorithm>
#include <condition_variable>
#include <set>

namespace redismutex::cli {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto remembered = 30s;   // a key where nothing is any more
constexpr auto longest_rest = 5s;  // between two scans of a small database
constexpr std::size_t most_watched = 1'000;
constexpr std::size_t most_waits = 100;
constexpr auto shortest_glance_pause = 20ms;
constexpr int glance_rest = 19;  // times as long as it took

/// False: it was stopped.
bool pause(const std::stop_token& stop, Clock::duration duration) {
  std::mutex mutex;
  std::unique_lock lock{mutex};
  std::condition_variable_any never;
  never.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

KnownKeys::KnownKeys(Connection connection, Choice choice, std::chrono::milliseconds interval)
    : connection_{std::move(connection)},
      choice_{std::move(choice)},
      interval_{interval},
      are_complete_{!choice_.keys.empty()} {
  if (!are_complete_) searcher_ = std::jthread{[this](const std::stop_token& stop) { search(stop); }};
}

void KnownKeys::search(const std::stop_token& stop) {
  const ScanOptions how{.pattern = choice_.pattern, .inspect = {.waiters = 0, .clients = false}, .stop = stop};
  Clock::duration lasted{0};
  do {
    const auto began = Clock::now();
    try {
      scan(connection_, how, [this](const Inspection& found) {
        note_taken(found.key);
        return true;
      });
      are_complete_ = true;
    } catch (const std::exception&) {  // whoever looks at the keys says so
    }
    lasted = Clock::now() - began;
  } while (pause(stop, std::max<Clock::duration>(std::min<Clock::duration>(interval_, longest_rest), 3 * lasted)));
}

std::vector<std::string> KnownKeys::list() const {
  if (!choice_.keys.empty()) return choice_.keys;
  const std::lock_guard lock{mutex_};
  std::vector<std::string> keys;
  for (const auto& [key, when] : seen_taken_) {
    if (keys.size() < most_watched) keys.push_back(key);
  }
  return keys;
}

std::size_t KnownKeys::left_out() const {
  if (!choice_.keys.empty()) return 0;
  const std::lock_guard lock{mutex_};
  return seen_taken_.size() > most_watched ? seen_taken_.size() - most_watched : 0;
}

void KnownKeys::note_taken(const std::string& key) {
  const std::lock_guard lock{mutex_};
  seen_taken_[key] = Clock::now();
}

void KnownKeys::note_free(const std::string& key) {
  const std::lock_guard lock{mutex_};
  const auto it = seen_taken_.find(key);
  if (it != seen_taken_.end() && Clock::now() - it->second > remembered) seen_taken_.erase(it);
}

std::optional<microseconds> History::median() const {
  if (waits.empty()) return std::nullopt;
  auto sorted = waits;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

std::optional<microseconds> History::longest() const {
  if (waits.empty()) return std::nullopt;
  return *std::max_element(waits.begin(), waits.end());
}

Watched::Watched(const ServerOption& server, Choice choice, std::chrono::milliseconds interval)
    : lookout_{server}, keys_{lookout_.connection(), std::move(choice), interval}, interval_{interval} {}

bool Watched::step() {
  const auto began = Clock::now();
  bool is_new = true;
  if (began >= next_look_) {
    next_look_ = next_glance_ = began + interval_;  // also if it fails
    look();
    next_look_ = Clock::now() + interval_;
  } else {
    next_glance_ = next_look_;  // if it fails
    is_new = glance();
  }
  const auto now = Clock::now();
  next_glance_ = now + std::max<Clock::duration>(shortest_glance_pause, glance_rest * (now - began));
  return is_new;
}

void Watched::look() {
  const auto keys = keys_.list();
  for (Inspection& each : inspect(lookout_.connection(), keys)) note(std::move(each));
  ask_the_server();
  const std::set<std::string> present{keys.begin(), keys.end()};
  std::erase_if(seen_, [&](const auto& each) { return !present.contains(each.first); });
}

/// At the owners; at the rest only where there is another one. Returns whether there is one.
bool Watched::glance() {
  std::vector<Inspection> others;
  std::vector<std::string> changed;
  for (Inspection& each : inspect(lookout_.connection(), keys_.list(), {.waiters = 0, .clients = false})) {
    const auto last = seen_.find(each.key);
    if (last == seen_.end() ? each.state == Inspection::State::free
                            : each.value == last->second.value && each.state == last->second.state) {
      continue;
    }
    if (last != seen_.end()) each.waiters = last->second.waiters;
    changed.push_back(each.key);
    others.push_back(std::move(each));
  }
  auto all_about = inspect(lookout_.connection(), changed);
  for (std::size_t i = 0; i < all_about.size(); ++i) {
    // It went on while we looked: then both owners are new.
    if (all_about[i].value != others[i].value) note(std::move(others[i]));
    note(std::move(all_about[i]));
  }
  return !changed.empty();
}

void Watched::note(Inspection now) {
  if (now.state == Inspection::State::free && now.waiting == 0)
    keys_.note_free(now.key);
  else
    keys_.note_taken(now.key);
  const auto before = seen_.find(now.key);
  if (before != seen_.end())
    compare(before->second, now);
  else if (now.state != Inspection::State::free)
    changes_.push_back({std::nullopt, now, {}});
  seen_[now.key] = std::move(now);
}

void Watched::compare(const Inspection& before, const Inspection& now) {
  if (before.value == now.value && before.state == now.state) return;
  HandOver change{before, now, std::nullopt};
  if (now.state == Inspection::State::held) {
    History& history = histories_[now.key];
    ++history.hand_overs;
    ++hand_overs_;
    for (const Waiter& waiter : before.waiters) {
      if (waiter.id != now.value) continue;
      change.waited = (now.label ? now.label->since : now.seen_at) - waiter.waiting_since;
      history.waits.push_back(*change.waited);
      if (history.waits.size() > most_waits) history.waits.erase(history.waits.begin());
    }
  }
  changes_.push_back(std::move(change));
}

void Watched::ask_the_server() {
  const auto began = Clock::now();
  lookout_.connection().ping();
  round_trip_ = std::chrono::duration_cast<microseconds>(Clock::now() - began);
  try {
    state_ = server_info(lookout_.connection());
  } catch (const ServerError&) {  // the right is missing
    state_.clear();
  }
  lookout_.set_role(state_);
}

}  // namespace redismutex::cli
