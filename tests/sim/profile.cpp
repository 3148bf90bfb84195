#include "sim/profile.hpp"

#include <stdexcept>
#include <string>

namespace redismutex::sim {

using namespace std::chrono_literals;

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all{
      // No trouble: whoever waits is served in order and in time.
      {.name = "calm"},
      {.name = "crowd", .processes = 12, .threads = 3, .rounds = 6, .keys = 1},
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
       .deletions = 5s},
      {.name = "threads_clock",
       .processes = 2,
       .threads = 6,
       .keys = 1,
       .fencing = 900'000,
       .passes = 1'000'000,
       .clock_steps = 500ms},
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
       .runs = 2000},
      // Delays of every length, everywhere.
      {.name = "slow",
       .latency = 20ms,
       .late_messages = 10'000,
       .late_reads = 10'000,
       .pauses = 10'000,
       .clock_drift = 9000,
       .process_pauses = 5s},
      {.name = "cuts", .late_messages = 1'000, .pauses = 1'000, .cuts = 500ms},
      {.name = "deaths", .threads = 1, .deaths = 1s},
      {.name = "dead_holders", .threads = 1, .keys = 1, .holder_deaths = 8s, .default_options = true, .runs = 60},
      {.name = "dead_waiters", .threads = 1, .keys = 1, .first_deaths = 2s, .default_options = true},
      {.name = "hands", .threads = 1, .keys = 1, .deletions = 500ms, .default_options = true},
      {.name = "strangers", .processes = 4, .strangers = 2, .deaths = 5s},
      // The server forgets.
      {.name = "amnesia", .script_flushes = 200ms, .restarts = 20s, .deletions = 2s},
      {.name = "server", .server_pauses = 3s, .failovers = 5s},
      {.name = "full", .pauses = 1'000, .deaths = 5s, .memory_shortages = 1s},
      {.name = "refusals", .pauses = 1'000, .cuts = 2s, .deaths = 5s, .refused_writes = 500ms},
      {.name = "roles", .late_messages = 1'000, .pauses = 1'000, .cuts = 3s, .role_changes = 4s, .runs = 200},
      {.name = "clock",
       .processes = 4,
       .rounds = 20,
       .keys = 4,
       .fencing = 600'000,
       .passes = 300'000,
       .clock_steps = 1s},
      {.name = "deletions", .processes = 4, .rounds = 8, .keys = 1, .strangers = 1, .deletions = 150ms},
      {.name = "untidy", .pauses = 1'000, .cuts = 3s, .deaths = 5s, .litter = 200ms},
      {.name = "patient", .threads = 1, .keys = 1, .first_deaths = 2s, .long_delays = true},
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

const Profile& profile(std::string_view name) {
  for (const Profile& each : profiles()) {
    if (each.name == name) return each;
  }
  throw std::invalid_argument{"no profile is called " + std::string{name}};
}

const Profile& profile(std::uint64_t seed) { return profiles()[seed % profiles().size()]; }

}  // namespace redismutex::sim
