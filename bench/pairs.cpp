#include <memory>
#include <vector>

#include "alternation.hpp"
#include "latency.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

constexpr int rounds = 100;
constexpr int pairs_a_round = 200;
constexpr Bar bar{Bar::Kind::at_most, 1.10};

}  // namespace

void run_pairs(Run& run) {
  Table table{"pairs",
              "One thread takes a free lock and gives it back; " + std::to_string(rounds) + " rounds of " +
                  std::to_string(pairs_a_round) + " pairs, in turns",
              {"way", "client", "median us", "p99 us", "x floor", "p25", "p75"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("pairs over " + way);
    std::vector<Contender> contenders;
    for (const char* name : {"ours", "floor"}) {
      contenders.push_back(latency_of(name, pairs_a_round, "bench:pairs", make_locker(name, url)));
    }
    const auto measured = alternate(contenders, rounds);
    for (const Measured& client : measured) {
      const auto times_floor = ratios(client, measured[1]);
      table.rows.push_back({way,
                            client.name,
                            {median(client.figures), 1},
                            {percentile(client.figures, 0.99), 1},
                            {median(times_floor), 3},
                            {percentile(times_floor, 0.25), 3},
                            {percentile(times_floor, 0.75), 3}});
    }
    run.report.hold("latency of a pair, " + way + ", x floor", median(ratios(measured[0], measured[1])), bar);
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
