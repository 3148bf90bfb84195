#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {

using namespace std::chrono_literals;

namespace {

struct Crowd {
  int processes, connections;
  std::vector<double> hand_overs_us{}, round_trips_us{}, ratios{};
  std::size_t turns = 0;

  int waiters() const { return processes * connections - 1; }
};

constexpr int rounds = 3;

void play_round(Run& run, Crowd& crowd) {
  // Who leaves lines up again at once.
  const Game game{.processes = crowd.processes,
                  .connections = crowd.connections,
                  .hold = 2ms,
                  .pause = 0ms,
                  .length = 2s,
                  .key = "bench:hand-over"};
  std::vector<double> round_trips;
  const std::string url = run.server.url();
  const Match match = play("ours-patient", url, game, ping_into(round_trips, url));
  const Summary summary = summarize(match);
  crowd.hand_overs_us.insert(crowd.hand_overs_us.end(), summary.hand_overs_us.begin(), summary.hand_overs_us.end());
  crowd.round_trips_us.insert(crowd.round_trips_us.end(), round_trips.begin(), round_trips.end());
  crowd.ratios.push_back(median(summary.hand_overs_us) / median(round_trips));
  crowd.turns += match.count();
}

}  // namespace

void run_hand_over(Run& run) {
  Table table{"hand-over",
              "From the beginning of a release to the next one being inside; so many others always wait, each over a "
              "connection of its own; 2 ms inside; unix socket; " +
                  std::to_string(rounds) + " rounds of 2 s, in turns",
              {"waiters", "median us", "p99", "round trip us", "x round trip", "turns"}};
  std::array crowds{Crowd{3, 1}, Crowd{9, 1}, Crowd{13, 5}, Crowd{3, 167}};
  for (int round = 1; round <= rounds; ++round) {
    run.report.say("hand-over: round " + std::to_string(round) + " of " + std::to_string(rounds));
    for (Crowd& crowd : crowds) play_round(run, crowd);
  }
  std::vector<double> ratios;
  for (Crowd& crowd : crowds) {
    const std::string waiters = std::to_string(crowd.waiters());
    ratios.push_back(median(crowd.ratios));
    table.rows.push_back({waiters,
                          {median(crowd.hand_overs_us), 0},
                          {percentile(crowd.hand_overs_us, 0.99), 0},
                          {median(crowd.round_trips_us), 0},
                          {ratios.back(), 2},
                          {static_cast<double>(crowd.turns), 0}});
    run.report.hold("hand-over to one of " + waiters + ", x round trip", ratios.back(), {Bar::Kind::at_most, 2});
  }
  run.report.add(std::move(table));
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  run.report.hold("hand-over: the largest x the smallest of these", *most / *least, {Bar::Kind::at_most, 1.2});
}

}  // namespace redismutex::bench
