#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <random>
#include <ratio>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "histories/trace.hpp"
#include "sim/random.hpp"
#include "sim/simulation.hpp"

namespace redismutex::sim {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view usage = R"(usage:
  redismutex_sim soak [MINUTES]                   simulations with seeds that nobody has tried, on all processors, for so
                                                  long (5; 0: for ever); prints how to see again what it finds
  redismutex_sim replay PROFILE SEED [MUTANT]     one simulation, and the last events before what is wrong with it
  redismutex_sim history PROFILE SEED [MUTANT]    all its events, one a line, as the checker reads them
  redismutex_sim find SEEDS [PROFILE]             so many simulations, until something is wrong with one
  redismutex_sim list                             the profiles and the mutants
The exit status is 1 if something was wrong.
)";

// ---- soak -----------------------------------------------------------------------------------------------------------

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
    for (const histories::Violation& violation : result.violations) std::cout << "  " << violation << '\n';
    std::cout << std::flush;
  }
}

void report(Progress& progress, steady_clock::duration spent) {
  const double seconds = std::chrono::duration<double>{spent}.count();
  const std::lock_guard lock{progress.printing};
  std::cout << static_cast<std::uint64_t>(seconds) << " s: " << progress.runs << " runs, " << progress.acquired
            << " acquisitions (" << static_cast<std::uint64_t>(static_cast<double>(progress.acquired) / seconds)
            << " a second), " << progress.failed << " with violations" << std::endl;
}

int soak(double minutes) {
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
    next = std::min(end, next + std::chrono::seconds{10});
    std::this_thread::sleep_until(next);
    report(progress, steady_clock::now() - begin);
  }
  for (std::thread& thread : threads) thread.join();
  report(progress, steady_clock::now() - begin);
  return progress.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// ---- one of them ----------------------------------------------------------------------------------------------------

std::uint64_t number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    throw std::invalid_argument{"not a number: " + std::string{digits}};
  }
  return value;
}

Setting setting(std::span<const std::string_view> arguments) {
  Setting wanted{.seed = number(arguments[1]), .profile = &profile(arguments[0])};
  if (arguments.size() > 2) wanted.mutant = mutant_named(arguments[2]);
  return wanted;
}

int run_again(const Setting& setting) {
  LuaHost lua;
  const Result result = simulate(lua, setting);
  const auto here = result.violations.empty() ? std::chrono::nanoseconds::max() : result.violations.front().time;
  print_trace(std::cout, result.history, here, 100);
  for (const histories::Violation& violation : result.violations) std::cout << violation << '\n';
  std::cout << result.acquired << " acquisitions, " << result.violations.size() << " violations\n";
  return result.violations.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

int print_history(const Setting& setting) {
  LuaHost lua;
  const Result result = simulate(lua, setting);
  for (const histories::Event& event : result.history) std::cout << event << '\n';
  return result.violations.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

int find(std::uint64_t seeds, std::optional<std::string_view> where) {
  LuaHost lua;
  std::size_t acquired = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const Profile& what = where ? profile(*where) : profile(seed);
    const Result result = simulate(lua, {.seed = seed, .profile = &what});
    acquired += result.acquired;
    if (result.violations.empty()) continue;
    std::cout << "found by seed " << seed << " (" << what.name << "): " << result.violations.front() << '\n';
    return EXIT_FAILURE;
  }
  std::cout << "nothing is wrong with " << seeds << " simulations, " << acquired << " acquisitions\n";
  return EXIT_SUCCESS;
}

int list() {
  std::cout << "profiles:\n";
  for (const Profile& each : profiles()) std::cout << "  " << each.name << '\n';
  std::cout << "mutants:\n";
  for (const Mutant mutant : mutants()) std::cout << "  " << name(mutant) << '\n';
  return EXIT_SUCCESS;
}

int run(std::span<const std::string_view> arguments) {
  const std::string_view command = arguments.empty() ? "" : arguments.front();
  const bool names_one = arguments.size() == 3 || arguments.size() == 4;
  if (command == "soak" && arguments.size() <= 2) {
    return soak(arguments.size() == 2 ? std::stod(std::string{arguments[1]}) : 5.0);
  }
  if (command == "find" && (arguments.size() == 2 || arguments.size() == 3)) {
    return find(number(arguments[1]), arguments.size() == 3 ? std::optional{arguments[2]} : std::nullopt);
  }
  if (command == "replay" && names_one) return run_again(setting(arguments.subspan(1)));
  if (command == "history" && names_one) return print_history(setting(arguments.subspan(1)));
  if (command == "list" && arguments.size() == 1) return list();
  std::cerr << usage;
  return 2;
}

}  // namespace
}  // namespace redismutex::sim

int main(int count, char** arguments) {
  try {
    const std::vector<std::string_view> words{arguments + 1, arguments + count};
    return redismutex::sim::run(words);
  } catch (const std::exception& problem) {
    std::cerr << "redismutex_sim: " << problem.what() << '\n';
    return 2;
  }
}
