// The fault suite is itself tested: with each of these mistakes built into the workers' library, it finds something. The simulator
// knows many more (tests/sim/mutants_test.cpp); these are the ones that real servers, too, give away within seconds.

#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "faults/trial.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;

/// For long, so that many locks are taken meanwhile.
const std::vector<Trouble> replies_late_for_long{{"replies late for long", [](Arena& arena) {
                                                    arena.proxy(0).delay(testing::Direction::replies, 150ms);
                                                    arena.wait(3s);
                                                    arena.proxy(0).pass();
                                                  }}};

struct Mutant {
  std::string_view name;
  const std::vector<Trouble>* trouble;  ///< in which it does harm
  std::string_view finding;             ///< how the harm shows
};

void PrintTo(const Mutant& mutant, std::ostream* out) { *out << mutant.name; }

class Mutants : public ::testing::TestWithParam<Mutant> {};

TEST_P(Mutants, AreFound) {
  constexpr std::uint64_t most_seeds = 10;
  const auto& [name, trouble, finding] = GetParam();
  const Profile profile{.name = name,
                        .route = trouble == &replies_late_for_long ? Route::proxied : Route::direct,
                        .own_clock = trouble == &clock_steps,
                        .troubles = {trouble},
                        .long_stays = 200};
  for (std::uint64_t seed = 1; seed <= most_seeds; ++seed) {
    const Result result = try_out({.seed = seed,
                                   .profile = &profile,
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
                         ::testing::Values(Mutant{"lease_from_reply", &replies_late_for_long, "two inside"},
                                           Mutant{"release_without_comparing", &troubles_of_workers, "two inside"},
                                           Mutant{"ends_untold", &disasters, "no balance of events"},
                                           Mutant{"tokens_by_increment", &disasters, "token"},
                                           Mutant{"tokens_by_clock", &clock_steps, "token"}),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace redismutex::faults
