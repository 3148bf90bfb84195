#include <array>
#include <memory>
#include <string>
#include <vector>

#include "alternation.hpp"
#include "latency.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "server_work.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

constexpr int rounds = 100;
constexpr int pairs_a_round = 200;
const std::string key = "bench:fencing";
constexpr Bar round_trip_bar{Bar::Kind::at_most, 0.01};  // more than without a token

/// The contender, who also notes what the server has to do for it.
Contender noting(ServerWork& work, Contender contender, testing::Server& server) {
  return {contender.name, [&work, &server, contender](std::vector<double>& figures) {
            const ServerWork before = ServerWork::of(server);
            contender.measure(figures);
            work += ServerWork::of(server) - before;
          }};
}

}  // namespace

void run_fencing(Run& run) {
  // Once more than there are rounds: for warming up.
  constexpr double pairs = (rounds + 1) * pairs_a_round;
  Table table{
      "fencing",
      "What a fencing token costs: a free lock is taken and given back; " + std::to_string(rounds) + " rounds of " +
          std::to_string(pairs_a_round) + " pairs, in turns",
      {"way", "client", "median us", "x plain", "round trips/pair", "server us/pair", "bytes left for a minute"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("fencing over " + way);
    const std::array<std::string, 2> names{"ours", "ours-fenced"};
    std::array<ServerWork, 2> work;
    std::vector<Contender> contenders;
    for (std::size_t i = 0; i < names.size(); ++i) {
      contenders.push_back(noting(
          work.at(i), latency_of(names.at(i), pairs_a_round, key + ":" + names.at(i), make_locker(names.at(i), url)),
          run.server));
    }
    const auto measured = alternate(contenders, rounds);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto left = run.server.command({"MEMORY", "USAGE", "redismutex:floor:{" + key + ":" + names.at(i) + "}"});
      table.rows.push_back({way,
                            names.at(i),
                            {median(measured[i].figures), 1},
                            {median(ratios(measured[i], measured[0])), 2},
                            {work.at(i).reads / pairs, 2},
                            {work.at(i).seconds / pairs * 1e6, 1},
                            {static_cast<double>(left.integer), 0}});
    }
    run.report.hold("round trips of a pair with a fencing token, " + way + ", - without",
                    (work[1].reads - work[0].reads) / pairs, round_trip_bar);
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
