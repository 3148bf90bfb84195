// faults_soak [MINUTES]: trials with seeds that nobody has tried, for so long (5; 0: for ever), one profile after another. Prints each seed, what it
// came to, and what it found with the command that provokes it again. The exit status is 1 if it found something.
//
// faults_soak --profile NAME --seed SEED [--seconds SECONDS]: one trial. Without a seed: trials of this profile only, or of these in turns. --worker
// PROGRAM takes another than the shipped one, --hurrying THREADS has that many of some workers hurry, see hurry.hpp.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "faults/report.hpp"
#include "faults/trial.hpp"

namespace {

using namespace redismutex::faults;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct Wanted {
  double minutes = 5;
  std::vector<const Profile*> profiles = {};
  Setting one{.length = 15s, .worker = REDISMUTEX_FAULTS_WORKER};
};

Wanted read(int count, char** arguments) {
  Wanted wanted;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (!name.starts_with("--")) {
      wanted.minutes = std::strtod(arguments[i], nullptr);
      continue;
    }
    if (i + 1 == count) throw std::invalid_argument{std::string{name} + " needs a value"};
    const char* value = arguments[++i];
    if (name == "--profile") {
      wanted.profiles.push_back(&profile(value));
    } else if (name == "--seed") {
      wanted.one.seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--seconds") {
      wanted.one.length = std::chrono::seconds{std::atoi(value)};
    } else if (name == "--hurrying") {
      wanted.one.hurrying = std::atoi(value);
    } else if (name == "--worker") {
      wanted.one.worker = value;
    } else {
      throw std::invalid_argument{"unknown option " + std::string{name}};
    }
  }
  if (wanted.profiles.empty()) {
    for (const Profile& each : profiles()) wanted.profiles.push_back(&each);
  }
  wanted.one.profile = wanted.profiles.front();
  return wanted;
}

struct Sum {
  Result result{};
  int broken_off = 0;                                    ///< trials that came to nothing
  std::map<std::string_view, std::uint64_t> balanced{};  ///< by profile
};

/// Whether all is well.
bool run(const Setting& setting, Sum& all) {
  std::cout << replay(setting) << "\n  " << std::flush;
  Result result;
  try {
    result = try_out(setting);
  } catch (const Partition::Impossible& reason) {
    // Where nobody looks at what was left out, leaving it out is a failure.
    std::cout << "LEFT OUT: " << reason.what() << '\n';
    return std::getenv("CI") == nullptr;
  } catch (const std::runtime_error& reason) {
    // Such as sentinels that find none of the servers good enough: that shows nothing.
    std::cout << "BROKE OFF: " << reason.what() << std::endl;
    ++all.broken_off;
    return true;
  }
  std::cout << summary(result) << '\n';
  if (!result.violations.empty() || std::getenv("REDISMUTEX_FAULTS_KEEP") != nullptr) {
    std::cout << complaint(setting, result) << '\n';
  }
  std::cout << std::flush;
  all.balanced[setting.profile->name] += result.balanced;
  Result& sum = all.result;
  sum.balanced += result.balanced;
  sum.grants += result.grants;
  sum.refused += result.refused;
  sum.longest_gap = std::max(sum.longest_gap, result.longest_gap);
  sum.longest_stall = std::max(sum.longest_stall, result.longest_stall);
  for (const auto& [name, times] : result.troubles) sum.troubles[name] += times;
  return result.violations.empty();
}

bool soak(const Wanted& wanted, Sum& sum) {
  const auto end = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                             std::chrono::duration<double, std::ratio<60>>{wanted.minutes});
  std::random_device random;
  bool well = true;
  for (std::size_t i = random(); wanted.minutes == 0 || steady_clock::now() < end; ++i) {
    Setting setting = wanted.one;
    setting.seed = random();
    setting.profile = wanted.profiles[i % wanted.profiles.size()];
    well = run(setting, sum) && well;
  }
  return well;
}

}  // namespace

int main(int count, char** arguments) try {
  const Wanted wanted = read(count, arguments);
  Sum sum;
  const bool one = wanted.one.seed != 0;
  const bool well = one ? run(wanted.one, sum) : soak(wanted, sum);
  if (!one)
    std::cout << "In all: " << summary(sum.result) << "; " << sum.broken_off << " trials broke off; "
              << (well ? "all promises kept" : "PROMISES BROKEN") << '\n';
  if (!one) {
    for (const auto& [profile, attempts] : sum.balanced) {
      std::cout << "  " << profile << ": " << attempts << " attempts in balance\n";
    }
  }
  return well && sum.broken_off == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& error) {
  std::cerr << "faults_soak: " << error.what() << '\n';
  return EXIT_FAILURE;
}
