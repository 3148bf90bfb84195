#pragma once

#include <array>
#include <chrono>
#include <string>

#include "report.hpp"
#include "support/server.hpp"

namespace redismutex::bench {

/// What all parts of a run share: the server, started for it alone, and what has come out so far.
struct Run {
  testing::Server server{{.tcp = true}};
  Report report;

  struct Way {
    std::string name;
    std::string url;
  };
  std::array<Way, 2> ways() const { return {{{"TCP loopback", server.tcp_url()}, {"unix socket", server.url()}}}; }
};

/// One thread takes a free lock and gives it back: latency, beside the floor's.
void run_pairs(Run& run);

/// Many threads with a key each, all over one connection: pairs a second, beside one floor connection per thread.
void run_threads(Run& run, int threads);

/// What a pair costs in counts that do not depend on what else the machine does: system calls, instructions, allocations.
void run_cost(Run& run);

/// What a fencing token costs the client and the server, beside the lock without one.
void run_fencing(Run& run);

/// Ten thousand leases kept alive: commands, processor time, losses.
void run_leases(Run& run);

/// One thread again, beside other clients that users may know.
void run_scale(Run& run);

struct Contention {
  int processes = 8;
  std::chrono::milliseconds hold{2};
  std::chrono::milliseconds pause{2};
  std::chrono::seconds length{5};
};

/// Processes take turns on one key: how well it is used, how long they wait, who gets how much.
void run_contention(Run& run, const Contention& contention);

/// How long it takes from one process's release to the next one's entry, beside a bare round trip, with 2 to 500 waiting.
void run_hand_over(Run& run);

/// What 500 waiters ask of the server while they wait, and what 10,000 threads of one process cost, each with a key of its own.
void run_waiting(Run& run);

/// Threads of one process pass the lock on among themselves: how fast, and how long a second process waits beside them.
void run_within(Run& run);

/// Coroutines on an event loop: 64 at a time beside 64 threads, one alone beside one thread, and 10,000 of them.
void run_async(Run& run);

/// What it costs that a replica must have received a lock: in one thread, and in many at once.
void run_replicas(Run& run, int threads);

/// A quorum of five beside one server, each behind a link of 5 ms: alone, with two of five that do not answer, and contended.
void run_quorum(Run& run);

/// Who is next gets in soon after others died, stood still, or deleted the key.
void run_recovery(Run& run);

}  // namespace redismutex::bench
