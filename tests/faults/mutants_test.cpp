// The fault suite is itself tested: with each of these mistakes built into the workers' library, it finds something. The simulator
// knows many more (tests/sim/mutants_test.cpp); these are the ones that real servers, too, give away within seconds.

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>

#include "faults/trial.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;

struct Mutant {
  std::string_view name;
  std::string_view profile;  ///< in which it does harm
  std::string_view finding;  ///< how the harm shows
};

void PrintTo(const Mutant& mutant, std::ostream* out) { *out << mutant.name; }

class Mutants : public ::testing::TestWithParam<Mutant> {};

TEST_P(Mutants, AreFound) {
  constexpr std::uint64_t most_seeds = 10;
  const auto& [name, profile_name, finding] = GetParam();
  for (std::uint64_t seed = 1; seed <= most_seeds; ++seed) {
    const Result result = try_out({.seed = seed,
                                   .profile = &profile(profile_name),
                                   .length = 4s,
                                   .worker = std::string{REDISMUTEX_FAULTS_WORKER} + "_" + std::string{name}});
    for (const histories::Violation& violation : result.violations) {
      if (violation.text.find(finding) == std::string::npos) continue;
      std::cout << "found by seed " << seed << ": " << violation << '\n';
      return;
    }
  }
  FAIL() << "not found by " << most_seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(All, Mutants,
                         ::testing::Values(Mutant{"lease_from_reply", "network", "two inside"},
                                           Mutant{"release_without_comparing", "processes", "two inside"},
                                           Mutant{"tokens_by_increment", "disasters", "token"},
                                           Mutant{"tokens_by_clock", "clock", "token"}),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace redismutex::faults
