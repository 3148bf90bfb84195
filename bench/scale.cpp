#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "alternation.hpp"
#include "latency.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "redis_py.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

constexpr int rounds = 40;
constexpr int pairs_a_round = 100;
const std::string todo = "bench:redis-py:todo";
const std::string done = "bench:redis-py:done";

/// redis-py measures itself, in a process that gets its turns over the server, and sleeps between them.
Contender latency_of_redis_py(testing::Server& server) {
  return {"redis-py Lock", [&server](std::vector<double>& figures) {
            server.command({"RPUSH", todo, std::to_string(pairs_a_round)});
            const auto answer = server.command({"BLPOP", done, "4"});
            if (answer.elements.size() != 2) throw std::runtime_error{"no figures from redis-py: " + answer.text};
            std::istringstream text{answer.elements[1].text};
            for (double microseconds = 0; text >> microseconds;) figures.push_back(microseconds);
          }};
}

}  // namespace

void run_scale(Run& run) {
  Table table{"scale",
              "For scale, one thread beside other clients; " + std::to_string(rounds) + " rounds of " +
                  std::to_string(pairs_a_round) + " pairs, in turns",
              {"way", "client", "median us", "p99 us", "x floor"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("scale over " + way);
    std::vector<Contender> contenders;
    for (const char* name : {"floor", "ours", "seed"}) {
      contenders.push_back(latency_of(name, pairs_a_round, "bench:scale", make_locker(name, url)));
    }
    const testing::ChildProcess redis_py{redis_py_program({"pairs", url, "bench:scale", todo, done})};
    contenders.push_back(latency_of_redis_py(run.server));
    const auto measured = alternate(contenders, rounds);
    for (const Measured& client : measured) {
      table.rows.push_back({way,
                            client.name,
                            {median(client.figures), 1},
                            {percentile(client.figures, 0.99), 1},
                            {median(ratios(client, measured[0])), 2}});
    }
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
