// sim_soak [MINUTES]: simulations with seeds that nobody has tried, for so long (0: for ever), on all processors. Prints how it
// goes, and what it finds with the command that shows it again. The exit status is 1 if it found something.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <ratio>
#include <string>
#include <thread>
#include <vector>

#include "sim/random.hpp"
#include "sim/simulation.hpp"

namespace {

using namespace redismutex::sim;
using std::chrono::steady_clock;

struct Progress {
  std::atomic<std::uint64_t> runs{0}, acquired{0}, failed{0};
  std::mutex printing;
};

void search(std::uint64_t first, steady_clock::time_point end, Progress& progress) {
  LuaHost lua;
  Random seeds{first};
  while (steady_clock::now() < end) {
    const std::uint64_t seed = seeds.next();
    const Setting setting{.seed = seed, .profile = &profile(seed)};
    const Result result = simulate(lua, setting);
    ++progress.runs;
    progress.acquired += result.acquired;
    if (result.violations.empty()) continue;
    ++progress.failed;
    const std::lock_guard lock{progress.printing};
    std::cout << replay(setting) << '\n';
    for (const std::string& violation : result.violations) std::cout << "  " << violation << '\n';
    std::cout << std::flush;
  }
}

}  // namespace

int main(int count, char** arguments) {
  const double minutes = count > 1 ? std::strtod(arguments[1], nullptr) : 1.0;
  const auto begin = steady_clock::now();
  const auto end = minutes == 0 ? steady_clock::time_point::max()
                                : begin + std::chrono::duration_cast<steady_clock::duration>(
                                              std::chrono::duration<double, std::ratio<60>>{minutes});
  std::random_device random;
  Progress progress;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    const std::uint64_t first = (std::uint64_t{random()} << 32) | random();
    threads.emplace_back([first, end, &progress] { search(first, end, progress); });
  }
  for (auto next = begin; next < end;) {
    next = std::min(end, next + std::chrono::seconds{5});
    std::this_thread::sleep_until(next);
    const double seconds = std::chrono::duration<double>{steady_clock::now() - begin}.count();
    const std::lock_guard lock{progress.printing};
    std::cout << static_cast<std::uint64_t>(seconds) << " s: " << progress.runs << " runs, " << progress.acquired
              << " acquisitions (" << static_cast<std::uint64_t>(static_cast<double>(progress.acquired) / seconds)
              << " a second), " << progress.failed << " with violations" << std::endl;
  }
  for (std::thread& thread : threads) thread.join();
  return progress.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
