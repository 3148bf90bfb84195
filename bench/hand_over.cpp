#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {

using namespace std::chrono_literals;

namespace {

// Who leaves lines up again at once.
const Game at_once{.hold = 2ms, .pause = 0ms, .key = "bench:hand-over"};

constexpr int rounds = 4;

/// Clients that all want the lock, each over a connection of its own.
struct Crowd {
  int processes;
  int connections;  // of each process
  std::vector<double> first_hand_overs_us{}, hand_overs_us{}, ratios{};
  std::size_t turns = 0;

  std::string waiters() const { return std::to_string(processes * connections - 1); }
};

/// Returns the median of the hand-overs to those who were inside before.
double play_round(Run& run, Crowd& crowd, std::vector<double>& round_trips_us) {
  Game game = at_once;
  game.processes = crowd.processes;
  game.connections = crowd.connections;
  game.length = 3s;  // five hundred take more than a second until each was inside
  const std::string url = run.server.url();
  const Match match = play("ours-patient", url, game, ping_into(round_trips_us, url));
  std::vector<double> hand_overs_us;
  for (const HandOver& one : summarize(match).hand_overs) {
    (one.to_a_new_one ? crowd.first_hand_overs_us : hand_overs_us).push_back(one.us);
  }
  crowd.hand_overs_us.insert(crowd.hand_overs_us.end(), hand_overs_us.begin(), hand_overs_us.end());
  crowd.turns += match.count();
  return median(hand_overs_us);
}

void measure_crowds(Run& run) {
  std::array crowds{Crowd{3, 1}, Crowd{9, 1}, Crowd{13, 5}, Crowd{3, 167}};
  std::vector<double> all_round_trips_us;
  for (int round = 1; round <= rounds; ++round) {
    run.report.say("hand-over: round " + std::to_string(round) + " of " + std::to_string(rounds));
    // The machine is faster in one round than in another; but there is only one bare round trip to compare all with.
    std::array<double, crowds.size()> medians_us{};
    std::vector<double> round_trips_us;
    std::transform(crowds.begin(), crowds.end(), medians_us.begin(),
                   [&](Crowd& crowd) { return play_round(run, crowd, round_trips_us); });
    const double round_trip_us = median(round_trips_us);
    for (std::size_t i = 0; i < crowds.size(); ++i) crowds[i].ratios.push_back(medians_us[i] / round_trip_us);
    all_round_trips_us.insert(all_round_trips_us.end(), round_trips_us.begin(), round_trips_us.end());
  }

  Table table{"hand-over",
              "From the beginning of a release to the next one being inside; so many others always wait, each over a "
              "connection of its own; 2 ms inside; unix socket; " +
                  std::to_string(rounds) + " rounds of 3 s, in turns; beside them a round trip takes " +
                  std::to_string(std::lround(median(all_round_trips_us))) + " us (median)",
              {"waiters", "to a new one us", "median us", "p99", "x round trip", "turns"}};
  for (Crowd& crowd : crowds) {
    const double ratio = median(crowd.ratios);
    table.rows.push_back({crowd.waiters(),
                          {median(crowd.first_hand_overs_us), 0},
                          {median(crowd.hand_overs_us), 0},
                          {percentile(crowd.hand_overs_us, 0.99), 0},
                          {ratio, 2},
                          {static_cast<double>(crowd.turns), 0}});
    run.report.hold("hand-over to one of " + crowd.waiters() + ", x round trip", ratio, {Bar::Kind::at_most, 2});
  }
  run.report.add(std::move(table));
}

/// Three clients that always want the lock have all that they need in the processor's caches, and five hundred have not. What
/// it costs that others wait shows where the same ones are inside as seldom, however many are in line.
void measure_length(Run& run) {
  struct Length {
    int waiting;
    std::size_t least, most;  // what counts as that: who has left may not be back in line yet, or be back early
    std::vector<double> hand_overs_us{};
  };
  std::array lengths{Length{2, 1, 3}, Length{8, 7, 9}, Length{64, 60, 66}, Length{500, 480, 500}};
  Game game = at_once;
  game.processes = 3;
  game.connections = 167;
  for (const Length& length : lengths) game.taking_part.push_back(length.waiting + 1);
  game.length = 48s;  // eight times each of them
  run.report.say("hand-over: to one of few or many of the same, " + std::to_string(game.length / 1s) + " s");
  std::vector<double> round_trips_us;
  const Match match = play("ours-patient", run.server.url(), game, ping_into(round_trips_us, run.server.url()));
  for (const HandOver& one : summarize(match).hand_overs) {
    if (one.to_a_new_one) continue;
    for (Length& length : lengths) {
      if (one.waiting >= length.least && one.waiting <= length.most) length.hand_overs_us.push_back(one.us);
    }
  }

  Table table{
      "hand-over",
      "The same among 501 connections of three processes, of which a changing number takes part at a time: who was "
      "inside stays away until all others were; a round trip takes " +
          std::to_string(std::lround(median(round_trips_us))) + " us (median)",
      {"waiters", "median us", "p99", "hand-overs"}};
  std::vector<double> medians;
  for (const Length& length : lengths) {
    medians.push_back(median(length.hand_overs_us));
    table.rows.push_back({std::to_string(length.waiting),
                          {medians.back(), 0},
                          {percentile(length.hand_overs_us, 0.99), 0},
                          {static_cast<double>(length.hand_overs_us.size()), 0}});
  }
  run.report.add(std::move(table));
  const auto [least, most] = std::minmax_element(medians.begin(), medians.end());
  run.report.hold("hand-over among the same 501, 2 to 500 waiting: most x least", *most / *least,
                  {Bar::Kind::at_most, 1.2});
}

}  // namespace

void run_hand_over(Run& run) {
  measure_crowds(run);
  measure_length(run);
}

}  // namespace redismutex::bench
