#include "engine/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <vector>

namespace redismutex::engine {
namespace {

struct Thing final : Schedule::Node {};

protocol::Instant at(int seconds) { return protocol::Instant{std::chrono::seconds{seconds}}; }

// Whatever is added and taken out in whatever order, the first is the first.
TEST(Schedule, TheFirstIsTheFirst) {
  std::minstd_rand random{1};  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
  std::vector<Thing> things(500);
  Schedule schedule;
  std::multimap<protocol::Instant, Thing*> model;
  for (int i = 0; i < 100'000; ++i) {
    Thing& thing = things[random() % things.size()];
    if (thing.is_scheduled()) {
      const auto [first, last] = model.equal_range(thing.due());
      model.erase(std::find_if(first, last, [&thing](const auto& one) { return one.second == &thing; }));
      schedule.remove(thing);
    } else {
      schedule.add(thing, at(static_cast<int>(random() % 300)));
      model.emplace(thing.due(), &thing);
    }
    ASSERT_EQ(schedule.size(), model.size());
    ASSERT_EQ(schedule.first() == nullptr, model.empty());
    if (!model.empty()) {
      ASSERT_EQ(schedule.first()->due(), model.begin()->first);
    }
  }
  while (schedule.first() != nullptr) schedule.remove(*schedule.first());
  EXPECT_EQ(schedule.size(), 0U);
}

}  // namespace
}  // namespace redismutex::engine
