#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>

#include "match.hpp"
#include "modes.hpp"
#include "support/eventually.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr int processes = 10, connections = 50, waiters = processes * connections;
constexpr auto held = 10s;
const std::string key = "bench:waiting";

/// What the server counts.
struct Count {
  Nanoseconds at = monotonic_now();
  double commands = 0;  // of waiters: none of these is run by a script
  double messages = 0;

  explicit Count(testing::Server& server) {
    auto calls = server.command_calls();
    for (const char* name :
         {"evalsha", "subscribe", "ssubscribe", "client|tracking", "client|caching", "script|load"}) {
      commands += static_cast<double>(calls[name]);
    }
    messages = static_cast<double>(calls["publish"] + calls["spublish"]);
  }
};

}  // namespace

/// The key is held while the others line up, and for `held` after that.
void run_waiting(Run& run) {
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

}  // namespace redismutex::bench
