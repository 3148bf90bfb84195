#pragma once

#include <string_view>
#include <vector>

namespace redismutex::faults {

class Arena;

/// A fault: how it is provoked, and mended again. What it excuses is noted in the arena's diary; see docs/safety.md.
struct Trouble {
  std::string_view name;
  void (*provoke)(Arena& arena);
};

// Of the workers, one at a time, wherever it is at that moment: before or after a request, between the arrival of an answer and
// reading it, waiting, inside.
extern const std::vector<Trouble> troubles_of_workers;

/// Of a server that keeps its data: stopped, full, its scripts, its connections, or a queue taken away.
extern const std::vector<Trouble> troubles_of_servers;

/// Of the network before some of the workers; needs Route::proxied.
extern const std::vector<Trouble> troubles_of_proxies;
extern const std::vector<Trouble> late_messages;

/// The same, as the kernel sees it; needs Route::cabled.
extern const std::vector<Trouble> troubles_of_cables;

/// Locks get lost: deleted, replaced, evicted, forgotten.
extern const std::vector<Trouble> disasters;

/// Needs a replica.
extern const std::vector<Trouble> failovers;

/// Need sentinels, or a cluster.
extern const std::vector<Trouble> depositions;

/// Needs a cluster.
extern const std::vector<Trouble> migrations;

/// Needs a clock of the server's own.
extern const std::vector<Trouble> clock_steps;

}  // namespace redismutex::faults
