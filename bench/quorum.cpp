#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "alternation.hpp"
#include "latency.hpp"
#include "lockers.hpp"
#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"
#include "support/proxy.hpp"
#include "support/server.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr int rounds = 15;
constexpr int pairs_a_round = 20;
constexpr int matches = 5;  // of each
constexpr std::chrono::milliseconds round_trip{5};
const Game game{.processes = 16, .hold = 1ms, .pause = 10ms, .length = 4s};

/// Five servers, each behind a link of its own.
class Servers {
 public:
  static constexpr std::size_t count = 5;

  Servers() {
    for (std::size_t i = 0; i < count; ++i) {
      links_.at(i) = std::make_unique<testing::Proxy>(servers_.at(i));
      links_.at(i)->delay(testing::Direction::replies, round_trip);
    }
  }

  std::string one() const { return links_.front()->url(); }
  std::string all() const {
    std::string urls;
    for (const auto& link : links_) urls += link->url() + " ";
    return urls;
  }

  testing::Server& operator[](std::size_t server) { return servers_.at(server); }

 private:
  std::array<testing::Server, count> servers_;
  std::array<std::unique_ptr<testing::Proxy>, count> links_;
};

void look_on(const std::function<bool()>& over) {
  while (!over()) std::this_thread::sleep_for(20ms);
}

void measure_pairs(Run& run, Servers& servers) {
  Table table{"quorum",
              "a free lock is taken and given back, in turns; " + std::to_string(rounds) + " rounds of " +
                  std::to_string(pairs_a_round) + " pairs; each reply is " + std::to_string(round_trip.count()) +
                  " ms late",
              {"servers", "us a pair", "one server", "x", "p25", "p75"}};
  const auto compare = [&](const std::string& name, Bar bar) {
    run.report.say(name);
    const auto measured =
        alternate({latency_of("one server", pairs_a_round, "bench:one", make_locker("ours-patient", servers.one())),
                   latency_of(name, pairs_a_round, "bench:quorum", make_locker("quorum", servers.all()))},
                  rounds);
    const auto times_one = ratios(measured[1], measured[0]);
    table.rows.push_back({name,
                          {median(measured[1].figures), 0},
                          {median(measured[0].figures), 0},
                          {median(times_one), 3},
                          {percentile(times_one, 0.25), 3},
                          {percentile(times_one, 0.75), 3}});
    run.report.hold(name + ": a pair, x one server's", median(times_one), bar);
  };
  compare("quorum of five", {Bar::Kind::at_most, 1.2});
  // The warm-up is as long as it takes to find that out.
  for (const std::size_t stopped : {3U, 4U}) servers[stopped].pause();
  compare("quorum of five, two of which stand still", {Bar::Kind::at_most, 1.3});
  for (const std::size_t stopped : {3U, 4U}) servers[stopped].resume();
  run.report.add(std::move(table));
}

void measure_contention(Run& run, const Servers& servers) {
  Table table{"quorum",
              std::to_string(game.processes) + " processes take turns on one key, 1 ms inside, 10 ms outside, " +
                  std::to_string(game.length.count() / 1000) + " s; each reply is " +
                  std::to_string(round_trip.count()) + " ms late",
              {"servers", "turns/s", "wait p50 ms", "p99", "Jain", "overlaps"}};
  std::array<std::vector<Summary>, 2> all;
  by_turns(all.size(), matches, [&](std::size_t contender) {
    const bool is_quorum = contender == 1;
    const std::string name = is_quorum ? "quorum of five" : "one server";
    run.report.say("contention: " + name);
    const Summary summary = summarize(is_quorum ? play("quorum", servers.all(), game, look_on)
                                                : play("ours-patient", servers.one(), game, look_on));
    table.rows.push_back({name,
                          {summary.turns_a_second, 1},
                          {median(summary.waits_ms), 1},
                          {percentile(summary.waits_ms, 0.99), 1},
                          {summary.fairness, 4},
                          {static_cast<double>(summary.overlaps), 0}});
    all.at(contender).push_back(summary);
  });
  run.report.add(std::move(table));

  const auto middle = [&](std::size_t contender, const std::function<double(const Summary&)>& figure) {
    std::vector<double> figures;
    for (const Summary& summary : all.at(contender)) figures.push_back(figure(summary));
    return median(figures);
  };
  const auto turns = [](const Summary& summary) { return summary.turns_a_second; };
  const auto long_wait = [](const Summary& summary) { return percentile(summary.waits_ms, 0.99); };
  run.report.hold("quorum: turns a second, x one server's", middle(1, turns) / middle(0, turns),
                  {Bar::Kind::at_least, 0.9});
  run.report.hold("quorum: wait p99, x one server's", middle(1, long_wait) / middle(0, long_wait),
                  {Bar::Kind::at_most, 1.3});
  run.report.hold("quorum: fairness (Jain)", middle(1, [](const Summary& summary) { return summary.fairness; }),
                  {Bar::Kind::at_least, 0.99});
}

}  // namespace

void run_quorum(Run& run) {
  Servers servers;
  measure_pairs(run, servers);
  measure_contention(run, servers);
}

}  // namespace redismutex::bench
