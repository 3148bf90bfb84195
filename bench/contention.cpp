#include <algorithm>
#include <string>
#include <vector>

#include "match.hpp"
#include "modes.hpp"
#include "placement.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr int runs = 3;  // of ours, of which the median counts

Game game_of(const Contention& contention) {
  return {.processes = contention.processes,
          .hold = contention.hold,
          .pause = contention.pause,
          .length = contention.length};
}

double commands_a_turn(const std::string& client, const std::string& url, Game game) {
  game.length = std::max<std::chrono::milliseconds>(game.length / 4, 1s);
  long commands = 0;
  const Match match = play(client, url, game, count_commands_into(commands, url));
  return static_cast<double>(commands) / static_cast<double>(std::max<std::size_t>(match.count(), 1));
}

struct Figures {
  double turns_a_second, inside_percent, wait_p50, wait_p99, wait_max, fairness, hand_over, hand_over_p99, round_trip;
  int overlaps;
};

Figures run_once(const std::string& client, const std::string& url, const Game& game) {
  std::vector<double> round_trips;
  const Summary summary = summarize(play(client, url, game, ping_into(round_trips, url)));
  return {.turns_a_second = summary.turns_a_second,
          .inside_percent = summary.inside_share * 100,
          .wait_p50 = median(summary.waits_ms),
          .wait_p99 = percentile(summary.waits_ms, 0.99),
          .wait_max = percentile(summary.waits_ms, 1),
          .fairness = summary.fairness,
          .hand_over = median(times_us(summary.hand_overs)),
          .hand_over_p99 = percentile(times_us(summary.hand_overs), 0.99),
          .round_trip = median(round_trips),
          .overlaps = summary.overlaps};
}

void add_row(Table& table, const std::string& name, const Figures& figures, double commands) {
  table.rows.push_back({name,
                        {figures.turns_a_second, 1},
                        {figures.inside_percent, 1},
                        {figures.wait_p50, 2},
                        {figures.wait_p99, 1},
                        {figures.wait_max, 1},
                        {commands, 2},
                        {figures.fairness, 4},
                        {figures.hand_over, 0},
                        {figures.hand_over_p99, 0},
                        {figures.round_trip, 0},
                        {static_cast<double>(figures.overlaps), 0}});
}

std::string describe(const Contention& contention) {
  return std::to_string(contention.processes) + " processes take turns on one key, " +
         std::to_string(contention.hold.count()) + " ms inside, " + std::to_string(contention.pause.count()) +
         " ms outside, " + std::to_string(contention.length.count()) + " s; unix socket";
}

}  // namespace

void run_contention(Run& run, const Contention& contention) {
  Table table{"contention",
              describe(contention),
              {"client", "turns/s", "inside %", "wait p50 ms", "p99", "max", "commands/turn", "Jain",
               "release to entry us", "p99", "round trip us", "overlaps"}};
  const std::string url = run.server.url();
  const Game game = game_of(contention);

  const double commands = commands_a_turn("ours-patient", url, game);
  const auto run_ours = [&](const std::string& name) {
    std::vector<Figures> all;
    for (int i = 1; i <= runs; ++i) {
      run.report.say("contention: " + name + ", " + std::to_string(i) + " of " + std::to_string(runs));
      all.push_back(run_once("ours-patient", url, game));
      add_row(table, name + ", run " + std::to_string(i), all.back(), commands);
    }
    return all;
  };
  const std::vector<Figures> ours = run_ours("ours");
  const std::vector<Figures> on_one = [&] {
    const Placed together{run.server.pid(), Placement::together};
    return run_ours("ours, one processor");
  }();
  for (const std::string client : {"seed", "redis-py Lock"}) {
    run.report.say("contention: " + client);
    add_row(table, client, run_once(client, url, game), commands_a_turn(client, url, game));
  }
  run.report.add(std::move(table));

  if (contention.processes != 8 || contention.hold != 2ms || contention.pause != 2ms) return;
  const auto middle = [](const std::vector<Figures>& all, double Figures::*figure) {
    std::vector<double> values;
    for (const Figures& one : all) values.push_back(one.*figure);
    return median(values);
  };
  run.report.hold("contention: somebody is inside, %", middle(ours, &Figures::inside_percent),
                  {Bar::Kind::at_least, 90});
  run.report.hold("contention: the same, all on one processor, %", middle(on_one, &Figures::inside_percent),
                  {Bar::Kind::at_least, 90});
  run.report.hold("contention: wait p99, ms", middle(ours, &Figures::wait_p99), {Bar::Kind::at_most, 20});
  run.report.hold("contention: longest wait, ms", middle(ours, &Figures::wait_max), {Bar::Kind::at_most, 40});
  run.report.hold("contention: commands a turn", commands, {Bar::Kind::at_most, 3.5});
  run.report.hold("contention: fairness (Jain)", middle(ours, &Figures::fairness), {Bar::Kind::at_least, 0.999});
}

}  // namespace redismutex::bench
