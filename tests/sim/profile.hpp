#pragma once

#include <cstdint>
#include <ostream>
#include <string_view>
#include <vector>

#include "memory/server.hpp"
#include "sim/agenda.hpp"

namespace redismutex::sim {

using memory::Server;

/// What kinds of trouble a simulation has, and how much. The rest is drawn from the seed.
struct Profile {
  std::string_view name;

  // Who takes part:
  int servers = 1;  ///< several: a quorum
  int processes = 6;
  int threads = 2;                     ///< at most, in each
  int rounds = 12;                     ///< of each thread
  int keys = 2;                        ///< at most
  std::uint64_t coroutines = 0;        ///< how many of the threads, in a million, are coroutines
  std::uint64_t fencing = 300'000;     ///< how many in a million want a token
  std::uint64_t passes = 700'000;      ///< how many stand in line within their process
  std::uint64_t renewals = 100'000;    ///< how many have their leases renewed,
  std::uint64_t weak_leases = 0;       ///< and how many of those shorten them now and then
  std::uint64_t extensions = 200'000;  ///< how many extend their leases by themselves, and then do so once more
  int max_waiters = 10'000;
  bool own_keys = false;                      ///< each thread has one
  int least_stay = 0;                         ///< percent of the longest
  Time longest_wait = std::chrono::hours{1};  ///< at most
  int strangers = 0;                          ///< clients of the plain SET NX pattern on the same keys

  // The network and the machines. What is longer than `latency` counts as a disturbance. The rates are per million.
  Time latency = std::chrono::microseconds{400};
  std::uint64_t late_messages = 0;
  std::uint64_t late_reads = 0;  ///< between the arrival of a message and its being read
  std::uint64_t pauses = 0;      ///< of a thread, at each point where it may be paused
  Time longest_pause = std::chrono::seconds{3};
  std::int64_t clock_drift = 5000;  ///< of the clients' clocks against the server's, in millionths

  // Once in about this time; never if zero:
  Time process_pauses{0};
  Time cuts{0};  ///< of some connection: reset, or gone silent in one direction or both, known to both ends or to one
  Time deaths{0};
  Time holder_deaths{0};
  Time first_deaths{0};  ///< of whoever is the first in line
  Time script_flushes{0};
  Time restarts{
      0};  ///< without the data; of a quorum's servers those that were just started have no vote for as long as a lease lasts
  Time outages{0};  ///< it can not be reached for a while, and forgets nothing
  Time server_pauses{0};
  Time failovers{0};
  Time deletions{0};
  Time memory_shortages{0};
  Time refused_writes{0};  ///< by the server, for other reasons
  Time role_changes{0};    ///< planned ones, that lose nothing
  Time litter{0};          ///< beside a key: what no client of this version puts there
  Time clock_steps{0};

  Server::Conduct conduct = {};

  bool long_delays = false;      ///< waiters look by themselves less often than claims end
  bool default_options = false;  ///< those of the public interface, and holds of up to 50 ms; else drawn from the seed
  std::chrono::milliseconds expiry{0};  ///< 0: drawn from the seed

  // In the tests:
  int runs = 80;          ///< seeds
  std::size_t least = 0;  ///< so many acquisitions with all of those
  int parts = 1;          ///< tests that share the seeds

  /// Of a quorum: nothing ever goes wrong.
  bool is_calm() const noexcept {
    return late_messages + late_reads + pauses == 0 &&
           process_pauses + cuts + deaths + script_flushes + restarts + outages + server_pauses + refused_writes ==
               Time{0};
  }
};

/// For GoogleTest's messages.
inline void PrintTo(const Profile& profile, std::ostream* out) { *out << profile.name; }

/// The one with that name, or the one whose turn it is.
const Profile& profile(std::string_view name);
const Profile& profile(std::uint64_t seed);
const std::vector<Profile>& profiles();

}  // namespace redismutex::sim
