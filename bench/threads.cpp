#include <sys/resource.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "alternation.hpp"
#include "crowd.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "server_work.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

constexpr int rounds = 11;
constexpr std::chrono::milliseconds length{700};
constexpr Bar bar{Bar::Kind::at_least, 1.8};

/// What a crowd cost in all its rounds; unlike its speed this hardly depends on what else the machine does.
struct Cost {
  double pairs = 0;
  double client_seconds = 0;  // of processor time
  double switches = 0;        // of the client's threads
  ServerWork server{};

  static Cost now(testing::Server& server) {
    rusage own{};
    ::getrusage(RUSAGE_SELF, &own);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return {.client_seconds = seconds(own.ru_utime) + seconds(own.ru_stime),
            .switches = static_cast<double>(own.ru_nvcsw + own.ru_nivcsw),
            .server = ServerWork::of(server)};
  }

  double a_pair() const { return (client_seconds + server.seconds) / pairs; }

  void add(const Cost& before, const Cost& after, double new_pairs) {
    pairs += new_pairs;
    client_seconds += after.client_seconds - before.client_seconds;
    switches += after.switches - before.switches;
    server += after.server - before.server;
  }
};

double pairs_a_second(const Lockers& crowd, testing::Server& server, Cost& cost) {
  Cost before;
  const Throughput done = work_together(crowd, length, [&] { before = Cost::now(server); });
  cost.add(before, Cost::now(server), done.pairs);
  return done.a_second();
}

Contender throughput_of(std::string name, const Lockers& crowd, testing::Server& server, Cost& cost) {
  return {std::move(name),
          [&](std::vector<double>& figures) { figures.push_back(pairs_a_second(crowd, server, cost)); }};
}

}  // namespace

void run_threads(Run& run, int threads) {
  const std::string crowd_size = std::to_string(threads);
  Table table{"threads",
              crowd_size + " threads take and give back a lock each, ours over one connection, the floor over " +
                  crowd_size + "; " + std::to_string(rounds) + " rounds of " + std::to_string(length.count()) +
                  " ms, in turns",
              {"way", "client", "pairs/s", "x floor", "p25", "p75", "client us/pair", "server us/pair", "switches/pair",
               "server reads/pair"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("threads over " + way);
    const Lockers ours = make_lockers("ours", url, 1, threads);
    const Lockers floor = make_lockers("floor", url, 1, threads);
    std::array<Cost, 2> costs;
    const auto measured = alternate(
        {throughput_of("ours", ours, run.server, costs[0]), throughput_of("floor", floor, run.server, costs[1])},
        rounds);
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto times_floor = ratios(measured[i], measured[1]);
      const Cost& cost = costs.at(i);
      table.rows.push_back({way,
                            measured[i].name,
                            {median(measured[i].figures), 0},
                            {median(times_floor), 2},
                            {percentile(times_floor, 0.25), 2},
                            {percentile(times_floor, 0.75), 2},
                            {cost.client_seconds / cost.pairs * 1e6, 1},
                            {cost.server.seconds / cost.pairs * 1e6, 1},
                            {cost.switches / cost.pairs, 2},
                            {cost.server.reads / cost.pairs, 2}});
    }
    run.report.hold("pairs/s of " + crowd_size + " threads, " + way + ", x floor",
                    median(ratios(measured[0], measured[1])), bar);
    // What the bar comes to where nothing else runs, and what can be told of it where something does.
    run.report.hold("the same by processor time, client's and server's", costs[1].a_pair() / costs[0].a_pair(), bar);
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
