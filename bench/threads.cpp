#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "alternation.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "server_work.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Crowd = std::vector<std::unique_ptr<Locker>>;

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

/// Pairs a second of all together, each in a thread of its own.
double pairs_a_second(Crowd& crowd, testing::Server& server, Cost& cost) {
  std::latch ready{static_cast<std::ptrdiff_t>(crowd.size()) + 1};
  std::latch set{1};
  std::atomic<bool> over{false};
  std::atomic<long> pairs{0};
  std::vector<std::thread> threads;
  for (auto& locker : crowd) {
    threads.emplace_back([&, key = "bench:threads:" + std::to_string(threads.size())] {
      long own = 0;
      ready.count_down();
      set.wait();
      while (!over.load(std::memory_order_relaxed)) {
        locker->lock_and_unlock(key);
        ++own;
      }
      pairs += own;
    });
  }
  ready.arrive_and_wait();
  const Cost before = Cost::now(server);
  const auto start = Clock::now();
  set.count_down();
  std::this_thread::sleep_for(length);
  over = true;
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  cost.add(before, Cost::now(server), static_cast<double>(pairs));
  return static_cast<double>(pairs) / elapsed.count();
}

Contender throughput_of(std::string name, Crowd& crowd, testing::Server& server, Cost& cost) {
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
    const RedisMutex shared{Connection{url}};
    Crowd ours;
    Crowd floor;
    for (int thread = 0; thread < threads; ++thread) {
      ours.push_back(make_ours(shared));
      floor.push_back(make_locker("floor", url));
    }
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
