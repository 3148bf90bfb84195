#include "sim/simulation.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

namespace redismutex::sim {
namespace {

/// The seeds of a run: so many from the first on. More, or others, by the environment.
std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string listed(const Result& result) {
  std::ostringstream text;
  for (std::size_t i = 0; i < result.violations.size() && i < 10; ++i) text << "\n  " << result.violations[i];
  return text.str();
}

class Profiles : public ::testing::TestWithParam<Profile> {
 protected:
  static void TearDownTestSuite() { std::cout << "in all " << acquired_in_all << " acquisitions\n"; }
  static inline std::size_t acquired_in_all = 0;
};

// Whatever the network, the machines and the server do to them: many clients of one lock keep every promise.
TEST_P(Profiles, KeepEveryPromise) {
  const auto runs = static_cast<std::uint64_t>(GetParam().runs);
  const std::uint64_t first = number("REDISMUTEX_SIM_FIRST", 0), count = number("REDISMUTEX_SIM_SEEDS", runs);
  LuaHost lua;
  std::size_t acquired = 0, waited = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Setting setting{.seed = seed, .profile = &profile(GetParam().name)};
    const Result result = simulate(lua, setting);
    acquired += result.acquired;
    waited += result.waited;
    EXPECT_TRUE(result.violations.empty()) << listed(result) << "\nTo see it again:\n  " << replay(setting);
  }
  acquired_in_all += acquired;
  std::cout << acquired << " acquisitions, " << waited << " of them after a time in line\n";
}

INSTANTIATE_TEST_SUITE_P(All, Profiles, ::testing::ValuesIn(profiles()),
                         [](const auto& each) { return std::string{each.param.name}; });

// The same seed gives the same run, to the nanosecond: or a failure could not be looked at again.
TEST(Simulation, ASeedReplaysExactly) {
  LuaHost lua;
  const Profile& all = profile("everything");
  const auto one = simulate(lua, {.seed = 9, .profile = &all}).history;
  const auto other = simulate(lua, {.seed = 9, .profile = &all}).history;
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) ASSERT_TRUE(one[i].time == other[i].time && one[i].id == other[i].id);
}

}  // namespace
}  // namespace redismutex::sim
