#include <algorithm>
#include <future>
#include <string>

#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

const Spectator nobody = [](const std::function<bool()>&) {};

double turns_a_second(Run& run, int processes, int threads) {
  const Game game{
      .processes = processes, .threads = threads, .hold = 0ms, .pause = 0ms, .length = 2s, .key = "bench:within"};
  return summarize(play("ours-patient", run.server.url(), game, nobody)).turns_a_second;
}

}  // namespace

void run_within(Run& run) {
  run.report.say("within: processes and threads");
  const double processes = turns_a_second(run, 8, 1);
  const double threads = turns_a_second(run, 1, 8);
  Table table{"within", "Turns on one key, with nothing to do inside or outside; unix socket", {"who", "turns/s"}};
  table.rows.push_back({"8 processes", {processes, 0}});
  table.rows.push_back({"8 threads of one process", {threads, 0}});
  run.report.add(std::move(table));
  run.report.hold("within: turns/s of 8 threads, x 8 processes", threads / processes, {Bar::Kind::at_least, 10});

  run.report.say("within: a second process");
  const Game game{.processes = 1, .threads = 8, .hold = 2ms, .pause = 0ms, .length = 5s, .key = "bench:within"};
  Game alone = game;
  alone.threads = 1;
  auto threads_of_one =
      std::async(std::launch::async, [&] { return play("ours-patient", run.server.url(), game, nobody); });
  const Summary second = summarize(play("ours-patient", run.server.url(), alone, nobody));
  threads_of_one.get();
  Table beside{"within",
               "A process with one thread beside one with eight that always want the lock; 2 ms inside; unix socket",
               {"wait p50 ms", "p99", "max", "turns/s"}};
  const double longest = percentile(second.waits_ms, 1);
  beside.rows.push_back(
      {{median(second.waits_ms), 1}, {percentile(second.waits_ms, 0.99), 1}, {longest, 1}, {second.turns_a_second, 1}});
  run.report.add(std::move(beside));
  run.report.hold("within: longest wait of a second process, ms", longest, {Bar::Kind::at_most, 17 * 2 + 5});
}

}  // namespace redismutex::bench
