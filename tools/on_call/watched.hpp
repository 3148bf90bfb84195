#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <redismutex/operate.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "look.hpp"

namespace redismutex::cli {

/// Which locks are watched: certain keys, or what a scan finds.
struct Choice {
  std::vector<std::string> keys;  ///< if there are none, all that the pattern finds
  std::string pattern;
};

/// The keys that a scan has found. It begins anew in a thread of its own after the interval, and 5 s at the latest; but in a large database
/// so late that it takes a quarter of the time.
class KnownKeys {
 public:
  KnownKeys(Connection connection, Choice choice, std::chrono::milliseconds interval);

  /// Whether a scan has been at its end.
  bool are_complete() const noexcept { return are_complete_; }

  /// As many as are watched.
  std::vector<std::string> list() const;

  /// How many are known beyond those.
  std::size_t left_out() const;

  /// A key where nothing is any more: it is forgotten when it has been so for long.
  void note_free(const std::string& key);
  void note_taken(const std::string& key);

 private:
  void search(const std::stop_token& stop);

  Connection connection_;
  const Choice choice_;
  const std::chrono::milliseconds interval_;
  std::atomic<bool> are_complete_{false};
  mutable std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> seen_taken_;
  std::jthread searcher_;  // last: it uses the others
};

/// A lock that went from one owner to another between two looks; or that is seen for the first time.
struct HandOver {
  std::optional<Inspection> before;  ///< none: it may have been so for long
  Inspection now;
  std::optional<std::chrono::microseconds> waited;  ///< of the new owner; none if it was not seen waiting
};

/// What has happened to one key since it is watched.
struct History {
  std::size_t hand_overs = 0;
  std::vector<std::chrono::microseconds> waits;  ///< the last ones

  std::optional<std::chrono::microseconds> median() const;
  std::optional<std::chrono::microseconds> longest() const;
};

/// Looks at the watched locks again and again, and compares. Belongs to one thread.
///
/// All about them, and about the server, is asked for at an interval. Between two such looks it glances at the locks, to see whether they
/// have other owners: every 20 ms, but for a twentieth of the time at the most. So of a lock that is watched no owner is missed that stays for
/// longer than that, and one for which many wait for a short time each is counted too low.
class Watched {
 public:
  using Clock = std::chrono::steady_clock;

  Watched(const ServerOption& server, Choice choice, std::chrono::milliseconds interval);

  /// A look or a glance, which is due. Returns whether something may be new. Throws what inspect() throws.
  bool step();

  /// When the next one is due.
  Clock::time_point next() const noexcept { return std::min(next_look_, next_glance_); }

  /// The next step will be a look, and is due.
  void hurry() noexcept { next_look_ = {}; }

  /// Whether all locks that there were have been found.
  bool knows_all() const noexcept { return keys_.are_complete(); }

  /// How many locks are known that are not watched, because there are too many.
  std::size_t left_out() const { return keys_.left_out(); }

  /// By key, what the last look or glance saw.
  const std::map<std::string, Inspection>& seen() const noexcept { return seen_; }

  /// Since they were last asked for. Locks that were taken or given back are among them.
  std::vector<HandOver> take_changes() { return std::exchange(changes_, {}); }

  const std::map<std::string, History>& histories() const noexcept { return histories_; }

  /// What INFO tells; empty if the right is missing.
  const std::map<std::string, std::string>& server_state() const noexcept { return state_; }
  std::chrono::microseconds round_trip() const noexcept { return round_trip_; }
  std::size_t hand_overs_in_all() const noexcept { return hand_overs_; }

  const Lookout& lookout() const noexcept { return lookout_; }

 private:
  void look();
  bool glance();
  void ask_the_server();
  void note(Inspection now);
  void compare(const Inspection& before, const Inspection& now);

  Lookout lookout_;
  KnownKeys keys_;
  const std::chrono::milliseconds interval_;
  Clock::time_point next_look_{};
  Clock::time_point next_glance_{};
  std::map<std::string, Inspection> seen_;
  std::vector<HandOver> changes_;
  std::map<std::string, History> histories_;
  std::map<std::string, std::string> state_;
  std::chrono::microseconds round_trip_{0};
  std::size_t hand_overs_ = 0;
};

}  // namespace redismutex::cli
