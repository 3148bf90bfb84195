#include "sim/profile.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>

namespace redismutex::sim {

using namespace std::chrono_literals;

namespace {

const std::vector<Profile>& profiles_of_threads() {
  static const std::vector<Profile> all{
      // No trouble: whoever waits is served in order and in time.
      {.name = "calm", .least = 5'300},
      {.name = "crowd", .processes = 12, .threads = 3, .rounds = 6, .keys = 1, .least = 4'700},
      {.name = "limited", .processes = 5, .rounds = 6, .keys = 1, .max_waiters = 3, .deaths = 2s},
      // The lock goes from thread to thread.
      {.name = "threads",
       .processes = 2,
       .threads = 6,
       .rounds = 8,
       .keys = 1,
       .fencing = 600'000,
       .passes = 1'000'000,
       .pauses = 1'000,
       .deletions = 5s,
       .least = 2'900},
      {.name = "threads_clock",
       .processes = 2,
       .threads = 6,
       .keys = 1,
       .fencing = 900'000,
       .passes = 1'000'000,
       .clock_steps = 500ms,
       .least = 4'300},
      // The same, where somebody deletes the lock.
      {.name = "threads_deletions",
       .processes = 3,
       .threads = 4,
       .rounds = 8,
       .keys = 1,
       .passes = 1'000'000,
       .deletions = 200ms,
       .least = 3'500},
      // Those in line give up before their turn comes, while other processes wait as well.
      {.name = "impatient",
       .processes = 3,
       .threads = 6,
       .rounds = 10,
       .keys = 1,
       .passes = 1'000'000,
       .longest_wait = 400ms,
       .least = 2'100},
      // A thread that is passed the lock wakes when its lease has ended.
      {.name = "drowsy",
       .processes = 2,
       .threads = 5,
       .rounds = 10,
       .keys = 1,
       .passes = 1'000'000,
       .pauses = 20'000,
       .expiry = 300ms,
       .least = 3'100},
      // The same on a server that tells nobody of it.
      {.name = "threads_untracked",
       .processes = 3,
       .threads = 6,
       .rounds = 30,
       .keys = 1,
       .passes = 1'000'000,
       .deletions = 100ms,
       .conduct = {.refuses_tracking = true},
       .least = 18'300},
      // Requests that never leave.
      {.name = "outages",
       .processes = 3,
       .threads = 3,
       .rounds = 6,
       .keys = 9,
       .renewals = 800'000,
       .extensions = 900'000,
       .own_keys = true,
       .least_stay = 50,
       .outages = 5s,
       .expiry = 7s},
      // Many leases that are renewed together, over a slow network; some of them are short.
      {.name = "many",
       .processes = 1,
       .threads = 900,
       .rounds = 1,
       .keys = 900,
       .renewals = 1'000'000,
       .weak_leases = 100'000,
       .extensions = 500'000,
       .own_keys = true,
       .least_stay = 60,
       .latency = 450ms,
       .expiry = 3s,
       .runs = 3},
      // Little trouble, and much to do: most of the acquisitions are here. Each with a lock of its own, and all of a process with one.
      {.name = "alone",
       .processes = 4,
       .rounds = 400,
       .keys = 8,
       .own_keys = true,
       .pauses = 100,
       .cuts = 30s,
       .runs = 300,
       .least = 900'000,
       .parts = 4},
      {.name = "family",
       .processes = 1,
       .threads = 6,
       .rounds = 400,
       .keys = 1,
       .passes = 1'000'000,
       .late_messages = 100,
       .pauses = 100,
       .runs = 200,
       .least = 180'000,
       .parts = 2},
      // Small runs of everything, by the thousand: who comes when is what differs.
      {.name = "tiny",
       .processes = 3,
       .threads = 1,
       .rounds = 3,
       .keys = 1,
       .late_messages = 20'000,
       .late_reads = 20'000,
       .pauses = 20'000,
       .clock_drift = 9000,
       .process_pauses = 1s,
       .cuts = 300ms,
       .deaths = 2s,
       .script_flushes = 1s,
       .restarts = 10s,
       .server_pauses = 3s,
       .failovers = 5s,
       .deletions = 2s,
       .refused_writes = 3s,
       .role_changes = 5s,
       .runs = 2000,
       .least = 16'900},
      // Delays of every length, everywhere.
      {.name = "slow",
       .latency = 20ms,
       .late_messages = 10'000,
       .late_reads = 10'000,
       .pauses = 10'000,
       .clock_drift = 9000,
       .process_pauses = 5s,
       .least = 4'100},
      {.name = "cuts", .late_messages = 1'000, .pauses = 1'000, .cuts = 500ms, .least = 5'100},
      {.name = "deaths", .threads = 1, .deaths = 1s},
      {.name = "dead_holders", .threads = 1, .keys = 1, .holder_deaths = 8s, .default_options = true, .runs = 60},
      {.name = "dead_waiters", .threads = 1, .keys = 1, .first_deaths = 2s, .default_options = true},
      {.name = "hands", .threads = 1, .keys = 1, .deletions = 500ms, .default_options = true, .least = 4'000},
      {.name = "strangers", .processes = 4, .strangers = 2, .deaths = 5s},
      // The server forgets.
      {.name = "amnesia", .script_flushes = 200ms, .restarts = 20s, .deletions = 2s, .least = 5'900},
      {.name = "server", .server_pauses = 3s, .failovers = 5s, .least = 5'200},
      {.name = "full", .pauses = 1'000, .deaths = 5s, .memory_shortages = 1s},
      {.name = "refusals", .pauses = 1'000, .cuts = 2s, .deaths = 5s, .refused_writes = 500ms, .least = 3'000},
      {.name = "roles",
       .late_messages = 1'000,
       .pauses = 1'000,
       .cuts = 3s,
       .role_changes = 4s,
       .runs = 200,
       .least = 13'300},
      {.name = "clock",
       .processes = 4,
       .rounds = 20,
       .keys = 4,
       .fencing = 600'000,
       .passes = 300'000,
       .clock_steps = 1s,
       .least = 7'600},
      {.name = "deletions", .processes = 4, .rounds = 8, .keys = 1, .strangers = 1, .deletions = 150ms, .least = 3'700},
      {.name = "untidy", .pauses = 1'000, .cuts = 3s, .deaths = 5s, .litter = 200ms},
      {.name = "patient", .threads = 1, .keys = 1, .first_deaths = 2s, .long_delays = true},
      // Several servers, of which a majority has to agree. None of them forgets anything here: each that does costs a vote.
      {.name = "quorum",
       .servers = 5,
       .processes = 5,
       .threads = 1,
       .rounds = 8,
       .fencing = 600'000,
       .renewals = 300'000,
       .least = 2'100},
      {.name = "quorum_crowd",
       .servers = 3,
       .processes = 8,
       .rounds = 6,
       .keys = 1,
       .fencing = 600'000,
       .least = 3'200},
      {.name = "quorum_faults",
       .servers = 3,
       .processes = 5,
       .rounds = 8,
       .keys = 1,
       .fencing = 600'000,
       .renewals = 300'000,
       .latency = 2ms,
       .late_messages = 2'000,
       .late_reads = 2'000,
       .pauses = 1'000,
       .clock_drift = 9000,
       .process_pauses = 3s,
       .cuts = 300ms,
       .deaths = 3s,
       .script_flushes = 2s,
       .outages = 3s,
       .server_pauses = 5s,
       .refused_writes = 3s,
       .least = 2'600},
      {.name = "quorum_restarts",
       .servers = 5,
       .processes = 4,
       .threads = 1,
       .rounds = 10,
       .keys = 1,
       .renewals = 500'000,
       .cuts = 2s,
       .restarts = 2s,
       .least = 1'800},
      // While an extension is under way, too.
      {.name = "quorum_extensions",
       .servers = 3,
       .processes = 2,
       .threads = 1,
       .rounds = 20,
       .keys = 1,
       .extensions = 990'000,
       .latency = 20ms,
       .restarts = 1s,
       .expiry = 1000ms,
       .least = 2'000},
      // Old, new and strict servers.
      {.name = "old",
       .late_messages = 1'000,
       .pauses = 1'000,
       .cuts = 3s,
       .deaths = 5s,
       .conduct = {.before_7_0 = true}},
      {.name = "new",
       .late_messages = 1'000,
       .pauses = 1'000,
       .cuts = 3s,
       .deaths = 5s,
       .conduct = {.deletion = Server::Conduct::Deletion::delifeq}},
      {.name = "no_mailbox", .pauses = 1'000, .conduct = {.refuses_channels = true, .refuses_tracking = true}},
      {.name = "mute", .pauses = 1'000, .deaths = 5s, .conduct = {.refuses_publishing = true}},
      {.name = "uncounted", .pauses = 1'000, .cuts = 3s, .deaths = 5s, .conduct = {.refuses_counting = true}},
      {.name = "everything",
       .processes = 8,
       .keys = 3,
       .strangers = 1,
       .latency = 2ms,
       .late_messages = 2'000,
       .late_reads = 2'000,
       .pauses = 2'000,
       .clock_drift = 9000,
       .process_pauses = 5s,
       .cuts = 1s,
       .deaths = 3s,
       .script_flushes = 2s,
       .restarts = 30s,
       .server_pauses = 10s,
       .failovers = 20s,
       .deletions = 10s,
       .memory_shortages = 5s,
       .refused_writes = 10s,
       .role_changes = 15s,
       .litter = 5s},
  };
  return all;
}

/// Each again, with fewer seeds, where half of the clients are coroutines.
std::vector<Profile> all_profiles() {
  static std::deque<std::string> names;
  std::vector<Profile> all = profiles_of_threads();
  for (Profile twin : profiles_of_threads()) {
    twin.name = names.emplace_back(std::string{twin.name} + "_coroutines");
    twin.coroutines = 500'000;
    twin.runs = std::max(5, twin.runs / 10);
    twin.least = 0;
    twin.parts = 1;
    all.push_back(twin);
  }
  return all;
}

}  // namespace

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = all_profiles();
  return all;
}

const Profile& profile(std::string_view name) {
  for (const Profile& each : profiles()) {
    if (each.name == name) return each;
  }
  throw std::invalid_argument{"no profile is called " + std::string{name}};
}

const Profile& profile(std::uint64_t seed) { return profiles()[seed % profiles().size()]; }

}  // namespace redismutex::sim
