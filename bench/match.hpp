#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "turns.hpp"

namespace redismutex::bench {

/// Who takes turns on one key, and how.
struct Game {
  int processes = 8;
  int connections = 1;             ///< of each process
  int threads = 1;                 ///< over each connection
  std::vector<int> taking_part{};  ///< so many of all these threads at a time, see Rota; empty: all of them
  std::chrono::microseconds hold{2000};
  std::chrono::microseconds pause{2000};
  std::chrono::milliseconds length{5000};
  std::string key = "bench:contention";
  std::string program{};  ///< that the players run; empty: this one
};

/// What was done in a game.
struct Match {
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  std::vector<std::vector<Turn>> turns{};  ///< of each process

  std::size_t count() const;
};

/// Looks on until `over()`.
using Spectator = std::function<void(const std::function<bool()>& over)>;

/// Starts the processes of one client (see make_lockers(), and "redis-py Lock") and plays when all are ready.
Match play(const std::string& client, const std::string& url, const Game& game, const Spectator& spectator);

/// A spectator that sends a PING now and then, and notes how long each took, in microseconds: what a round trip is for the
/// players, on a connection that has to be woken as theirs have.
Spectator ping_into(std::vector<double>& round_trips, const std::string& url);

/// One that counts the commands that clients send. INFO commandstats has them in one sum with those that scripts run; in the
/// lines of MONITOR they differ. MONITOR slows the server down, so such a match says nothing about time.
Spectator count_commands_into(long& commands, const std::string& url);

/// From the beginning of a release to the entry of one who had asked before.
struct HandOver {
  double us;
  std::size_t waiting;  ///< when it began
  bool to_a_new_one;    ///< to a thread that was not inside before
};
std::vector<double> times_us(const std::vector<HandOver>& hand_overs);

/// What a match says.
struct Summary {
  double turns_a_second = 0;
  double inside_share = 0;
  std::vector<double> waits_ms{};
  double fairness = 0;  ///< Jain's index of the processes' turns
  std::vector<HandOver> hand_overs{};
  int overlaps = 0;  ///< entries while somebody was inside
};
Summary summarize(const Match& match);

}  // namespace redismutex::bench
