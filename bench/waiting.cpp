#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>

#include "match.hpp"
#include "modes.hpp"
#include "programs.hpp"
#include "server_work.hpp"
#include "support/eventually.hpp"
#include "vigil.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr int processes = 10, connections = 50, waiters = processes * connections;
constexpr auto held = 10s;
const std::string key = "bench:waiting";

/// What the server counts.
struct Count {
  Nanoseconds at = monotonic_now();
  double commands = 0;
  double messages = 0;

  explicit Count(testing::Server& server) {
    auto calls = server.command_calls();
    commands = commands_of_waiters(server);
    messages = static_cast<double>(calls["publish"] + calls["spublish"]);
  }
};

/// Threads of one process, with a key each.
void run_vigil(Run& run) {
  constexpr int threads = 10'000;
  run.report.say("waiting: " + std::to_string(threads) + " threads with a key each");
  const Vigil vigil = keep_vigil(run.server, this_program(), threads, 500ms);
  Table table{
      "waiting",
      "Threads of one process that wait, each for a lock of its own, with a delay of 500 ms, for 20 s; unix socket",
      {"threads", "commands a round", "client, % of a processor", "server, % of a processor"}};
  table.rows.push_back(
      {{vigil.waiting, 0}, {vigil.commands_a_round, 1}, {vigil.client_percent, 2}, {vigil.server_percent, 2}});
  run.report.add(std::move(table));
  run.report.hold("waiting: commands of 10,000 threads in a round of 500 ms", vigil.commands_a_round,
                  {Bar::Kind::at_most, 120});
  run.report.hold("waiting: their process, % of a processor", vigil.client_percent, {Bar::Kind::at_most, 3});
  run.report.hold("waiting: their server, % of a processor", vigil.server_percent, {Bar::Kind::at_most, 16});
}

/// The key is held while the others line up, and for `held` after that.
void run_line(Run& run) {
  run.report.say("waiting: " + std::to_string(waiters) + " waiters");
  const RedisMutex mutex{Connection{run.server.url()}, {.block_time = 60s, .expiry = 90s}};
  auto lock = mutex.acquire_lock(key);
  const auto in_line = [&] { return run.server.command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2; };
  double commands = 0;
  double seconds = 0;
  double messages = 0;
  Nanoseconds released_at = 0;
  const auto watch = [&](const std::function<bool()>& over) {
    if (!testing::eventually(30s, [&] { return in_line() == waiters; })) throw std::runtime_error{"they do not wait"};
    std::this_thread::sleep_for(1s);  // until the first in line has begun to watch the key
    const Count before{run.server};
    std::this_thread::sleep_for(held);
    const Count after{run.server};
    commands = after.commands - before.commands;
    seconds = static_cast<double>(after.at - before.at) / 1e9;
    messages = after.messages - before.messages;
    released_at = monotonic_now();
    lock.release();
    while (!over()) std::this_thread::sleep_for(10ms);
  };
  // A player that begins in time has one turn.
  const Match match = play(
      "ours-patient", run.server.url(),
      {.processes = processes, .connections = connections, .hold = 0ms, .pause = 0ms, .length = 1s, .key = key}, watch);
  Nanoseconds first = 0;
  for (const auto& turns : match.turns) {
    for (const Turn& turn : turns) first = first == 0 ? turn.entered : std::min(first, turn.entered);
  }
  const double delay = std::chrono::duration<double>{*mutex.options().delay}.count();
  const double for_each = commands / waiters / (seconds / delay);
  Table table{"waiting",
              std::to_string(waiters) +
                  " waiters, each over a connection of its own, and a lock that is held for 10 s; unix socket",
              {"commands", "for each, in a delay", "messages meanwhile", "release to entry us"}};
  table.rows.push_back(
      {{commands, 0}, {for_each, 3}, {messages, 0}, {static_cast<double>(first - released_at) / 1e3, 0}});
  run.report.add(std::move(table));
  run.report.hold("waiting: commands of a waiter in a delay", for_each, {Bar::Kind::at_most, 1.0});
  run.report.hold("waiting: messages to waiters while nothing happens", messages, {Bar::Kind::at_most, 0});
}

}  // namespace

void run_waiting(Run& run) {
  run_line(run);
  run_vigil(run);
}

}  // namespace redismutex::bench
