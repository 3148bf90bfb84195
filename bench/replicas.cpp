#include <chrono>
#include <memory>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "alternation.hpp"
#include "crowd.hpp"
#include "latency.hpp"
#include "locker.hpp"
#include "modes.hpp"
#include "ours.hpp"
#include "statistics.hpp"
#include "support/eventually.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr int rounds = 31;
constexpr int pairs_a_round = 200;
constexpr std::chrono::milliseconds length{300};
constexpr Bar pair_bar{Bar::Kind::at_most, 2.2};
constexpr Bar crowd_bar{Bar::Kind::at_most, 2.5};

std::unique_ptr<Locker> replicated(const Connection& connection, int replicas) {
  return std::make_unique<Ours>(RedisMutex{connection, {.block_time = 10s, .replicas = replicas}});
}

Lockers make_crowd(const std::string& url, int threads, int replicas) {
  const Connection connection{url};
  Lockers lockers;
  for (int i = 0; i < threads; ++i) lockers.push_back(replicated(connection, replicas));
  return lockers;
}

/// How long a pair takes while all make theirs.
Contender crowd_of(std::string name, const Lockers& crowd) {
  return {std::move(name), [&crowd](std::vector<double>& figures) {
            figures.push_back(1e6 / work_together(crowd, length, [] {}).a_second());
          }};
}

void follow(testing::Server& master, testing::Server& replica) {
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
  const auto receives = [&] {
    master.command({"SET", "probe", ""});
    return master.command({"WAIT", "1", "100"}).integer == 1;
  };
  if (!testing::eventually(30s, receives)) throw std::runtime_error{"the replica does not follow"};
  master.command({"DEL", "probe"});
}

}  // namespace

void run_replicas(Run& run, int threads) {
  testing::Server replica{{.tcp = true}};
  follow(run.server, replica);
  const std::string crowd_size = std::to_string(threads);
  Table table{"replicas",
              "Options::replicas = 1 with one replica, beside 0: a free lock is taken and given back, in turns; " +
                  std::to_string(rounds) + " rounds of " + std::to_string(pairs_a_round) + " pairs, or of " +
                  std::to_string(length.count()) + " ms",
              {"way", "who", "us a pair", "with replicas", "x", "p25", "p75"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("replicas over " + way);
    const auto one = [&, &url = url](int replicas) {
      const std::string name = "replicas " + std::to_string(replicas);
      return latency_of(name, pairs_a_round, "bench:" + name, replicated(Connection{url}, replicas));
    };
    const Lockers plain = make_crowd(url, threads, 0);
    const Lockers confirmed = make_crowd(url, threads, 1);
    const auto add = [&, &way = way](const std::string& who, const std::vector<Measured>& measured, Bar bar) {
      const auto times_plain = ratios(measured[1], measured[0]);
      table.rows.push_back({way,
                            who,
                            {median(measured[0].figures), 1},
                            {median(measured[1].figures), 1},
                            {median(times_plain), 2},
                            {percentile(times_plain, 0.25), 2},
                            {percentile(times_plain, 0.75), 2}});
      run.report.hold(who + ", " + way + ": with a replica, x without", median(times_plain), bar);
    };
    add("one thread", alternate({one(0), one(1)}, rounds), pair_bar);
    add(crowd_size + " threads", alternate({crowd_of("plain", plain), crowd_of("confirmed", confirmed)}, rounds),
        crowd_bar);
  }
  run.report.add(std::move(table));
  replica.command({"REPLICAOF", "NO", "ONE"});
}

}  // namespace redismutex::bench
