#include "sim/simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "histories/chronicle.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;
using histories::Event;

/// The seeds of a run: so many from the first on. Fewer, or others, by the environment.
std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string listed(const Result& result) {
  std::ostringstream text;
  for (std::size_t i = 0; i < result.violations.size() && i < 10; ++i) text << "\n  " << result.violations[i];
  return text.str();
}

/// A part of a profile's seeds.
struct Share {
  const Profile* profile;
  int part;
};

void PrintTo(const Share& share, std::ostream* out) { *out << share.profile->name; }

std::vector<Share> shares() {
  std::vector<Share> all;
  for (const Profile& each : profiles()) {
    for (int part = 0; part < each.parts; ++part) all.push_back({&each, part});
  }
  return all;
}

std::string name(const Share& share) {
  const std::string name{share.profile->name};
  return share.profile->parts == 1 ? name : name + "_" + std::to_string(share.part + 1);
}

class Profiles : public ::testing::TestWithParam<Share> {};

// Whatever the network, the machines and the server do to them: many clients of one lock keep every promise.
TEST_P(Profiles, KeepEveryPromise) {
  const Profile& what = *GetParam().profile;
  const auto parts = static_cast<std::uint64_t>(what.parts);
  const auto runs = static_cast<std::uint64_t>(what.runs);
  const std::uint64_t first = number("REDISMUTEX_SIM_FIRST", 0),
                      count = std::min(number("REDISMUTEX_SIM_SEEDS", runs), runs);
  LuaHost lua;
  std::size_t acquired = 0, waited = 0;
  for (std::uint64_t seed = first + static_cast<std::uint64_t>(GetParam().part); seed < first + count; seed += parts) {
    const Setting setting{.seed = seed, .profile = &what};
    const Result result = simulate(lua, setting);
    acquired += result.acquired;
    waited += result.waited;
    EXPECT_TRUE(result.violations.empty()) << listed(result) << "\nTo see it again:\n  " << replay(setting);
  }
  std::cout << acquired << " acquisitions, " << waited << " of them after a time in line\n";
  if (first == 0 && count == runs) {
    EXPECT_GE(acquired, what.least / parts * 9 / 10);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Profiles, ::testing::ValuesIn(shares()),
                         [](const auto& each) { return name(each.param); });

// What the tests above ask for, and hold themselves to, is enough for rare mistakes.
TEST(Simulation, AMillionAcquisitionsAreMade) {
  std::size_t least = 0;
  for (const Profile& each : profiles()) least += each.least * 9 / 10;
  EXPECT_GE(least, 1'000'000U);
}

// The same seed gives the same run, to the nanosecond: or a failure could not be looked at again.
TEST(Simulation, ASeedReplaysExactly) {
  LuaHost lua;
  const Profile& all = profile("everything");
  const auto one = simulate(lua, {.seed = 9, .profile = &all}).history;
  const auto other = simulate(lua, {.seed = 9, .profile = &all}).history;
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) ASSERT_TRUE(one[i].time == other[i].time && one[i].id == other[i].id);
}

/// How many had the lock in their first step on a way to the server; whoever has it has led there.
int granted_at_once(const histories::History& history) {
  std::map<std::string, Event> led;
  int count = 0;
  for (const Event& event : history) {
    if (event.kind == Event::Kind::leads) led[event.id] = event;
    if (event.kind != Event::Kind::inside || histories::owner_of(event.id) != event.id) continue;
    EXPECT_EQ(led[event.id].client, event.client) << event.id;
    if (led[event.id].time == event.time) ++count;
  }
  return count;
}

// The history tells who leads to the server, also of whoever is left a way on which the lock has come already; and it tells of nobody that
// he waits before he stands in line, or what is given up then would look as if it had been left to him. Provoked by pauses of those who
// wait without patience.
TEST(Simulation, WhoeverTheServerGivesTheLockHasLedThere) {
  constexpr std::uint64_t seeds = 100;
  LuaHost lua;
  int at_once = 0;
  for (const std::string_view who : {"impatient", "impatient_coroutines"}) {
    Profile sleepy = profile(who);
    sleepy.pauses = 50'000;
    sleepy.longest_pause = 1s;
    sleepy.longest_wait = 2s;
    sleepy.process_pauses = 1s;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE(std::string{who} + ", seed " + std::to_string(seed));
      const Result result = simulate(lua, {.seed = seed, .profile = &sleepy});
      EXPECT_TRUE(result.violations.empty()) << listed(result);
      at_once += granted_at_once(result.history);
    }
  }
  EXPECT_GE(at_once, 1);
}

}  // namespace
}  // namespace redismutex::sim
