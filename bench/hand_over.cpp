#include <algorithm>
#include <string>
#include <vector>

#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {

using namespace std::chrono_literals;

void run_hand_over(Run& run) {
  Table table{"hand-over",
              "From the beginning of a release to the next one being inside; so many others always wait, each over a "
              "connection of its own; 2 ms inside; unix socket",
              {"waiters", "median us", "p99", "round trip us", "x round trip", "turns"}};
  const std::string url = run.server.url();
  std::vector<double> ratios;
  struct Crowd {
    int processes, connections;
  };
  for (const Crowd crowd : {Crowd{3, 1}, Crowd{9, 1}, Crowd{13, 5}, Crowd{3, 167}}) {
    const int waiters = crowd.processes * crowd.connections - 1;
    run.report.say("hand-over: " + std::to_string(waiters) + " waiters");
    // Who leaves lines up again at once.
    const Game game{.processes = crowd.processes,
                    .connections = crowd.connections,
                    .hold = 2ms,
                    .pause = 0ms,
                    .length = 3s,
                    .key = "bench:hand-over"};
    std::vector<double> round_trips;
    const Match match = play("ours-patient", url, game, ping_into(round_trips, url));
    const Summary summary = summarize(match);
    const double hand_over = median(summary.hand_overs_us);
    const double round_trip = median(round_trips);
    ratios.push_back(hand_over / round_trip);
    table.rows.push_back({std::to_string(waiters),
                          {hand_over, 0},
                          {percentile(summary.hand_overs_us, 0.99), 0},
                          {round_trip, 0},
                          {ratios.back(), 2},
                          {static_cast<double>(match.count()), 0}});
    run.report.hold("hand-over to one of " + std::to_string(waiters) + ", x round trip", ratios.back(),
                    {Bar::Kind::at_most, 2});
  }
  run.report.add(std::move(table));
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  run.report.hold("hand-over: the largest x the smallest of these", *most / *least, {Bar::Kind::at_most, 1.2});
}

}  // namespace redismutex::bench
