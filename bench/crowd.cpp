#include "crowd.hpp"

#include <atomic>
#include <cstddef>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace redismutex::bench {

Throughput work_together(const Lockers& crowd, std::chrono::milliseconds length,
                         const std::function<void()>& at_start) {
  using Clock = std::chrono::steady_clock;
  std::latch ready{static_cast<std::ptrdiff_t>(crowd.size()) + 1};
  std::latch set{1};
  std::atomic<bool> over{false};
  std::atomic<long> pairs{0};
  std::vector<std::thread> threads;
  for (const auto& locker : crowd) {
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
  at_start();
  const auto start = Clock::now();
  set.count_down();
  std::this_thread::sleep_for(length);
  over = true;
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  return {.pairs = static_cast<double>(pairs), .seconds = elapsed.count()};
}

}  // namespace redismutex::bench
