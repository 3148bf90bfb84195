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
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Crowd = std::vector<std::unique_ptr<Locker>>;

constexpr int rounds = 11;
constexpr std::chrono::milliseconds length{700};
constexpr Bar bar{Bar::Kind::at_least, 1.8};

/// Pairs a second of all together, each in a thread of its own.
double pairs_a_second(Crowd& crowd) {
  std::latch ready{static_cast<std::ptrdiff_t>(crowd.size()) + 1};
  std::atomic<bool> over{false};
  std::atomic<long> pairs{0};
  std::vector<std::thread> threads;
  for (auto& locker : crowd) {
    threads.emplace_back([&ready, &over, &pairs, &locker, key = "bench:threads:" + std::to_string(threads.size())] {
      long own = 0;
      ready.arrive_and_wait();
      while (!over.load(std::memory_order_relaxed)) {
        locker->lock_and_unlock(key);
        ++own;
      }
      pairs += own;
    });
  }
  ready.arrive_and_wait();
  const auto start = Clock::now();
  std::this_thread::sleep_for(length);
  over = true;
  for (auto& thread : threads) thread.join();
  return static_cast<double>(pairs) / std::chrono::duration<double>{Clock::now() - start}.count();
}

Contender throughput_of(std::string name, std::shared_ptr<Crowd> crowd) {
  return {std::move(name),
          [crowd = std::move(crowd)](std::vector<double>& figures) { figures.push_back(pairs_a_second(*crowd)); }};
}

}  // namespace

void run_threads(Run& run, int threads) {
  const std::string crowd_size = std::to_string(threads);
  Table table{"threads",
              crowd_size + " threads take and give back a lock each, ours over one connection, the floor over " +
                  crowd_size + "; " + std::to_string(rounds) + " rounds of " + std::to_string(length.count()) +
                  " ms, in turns",
              {"way", "client", "pairs/s", "x floor", "p25", "p75"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("threads over " + way);
    const RedisMutex shared{Connection{url}};
    auto ours = std::make_shared<Crowd>();
    auto floor = std::make_shared<Crowd>();
    for (int thread = 0; thread < threads; ++thread) {
      ours->push_back(make_ours(shared));
      floor->push_back(make_locker("floor", url));
    }
    const auto measured = alternate({throughput_of("ours", ours), throughput_of("floor", floor)}, rounds);
    for (const Measured& client : measured) {
      const auto times_floor = ratios(client, measured[1]);
      table.rows.push_back({way,
                            client.name,
                            {median(client.figures), 0},
                            {median(times_floor), 2},
                            {percentile(times_floor, 0.25), 2},
                            {percentile(times_floor, 0.75), 2}});
    }
    run.report.hold("pairs/s of " + crowd_size + " threads, " + way + ", x floor",
                    median(ratios(measured[0], measured[1])), bar);
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
