// The faster of two ways is used, and both are timed again after a while.

#include "net/faster_way.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;

using Duration = FasterWay::Clock::duration;

/// Times both, of which one takes so long and the other so long.
void time_both(FasterWay& way, Duration first, Duration second) {
  for (std::size_t i = 0; i < 2 * FasterWay::times; ++i) {
    ASSERT_TRUE(way.is_timing());
    way.note(way.is_first() ? first : second);
  }
}

void use(FasterWay& way, std::size_t times, bool first) {
  for (std::size_t i = 0; i < times; ++i) {
    ASSERT_FALSE(way.is_timing());
    way.choose([&](bool is_first) {
      EXPECT_EQ(is_first, first);
      return 0;
    });
  }
}

TEST(FasterWay, IsUsedUntilBothAreTimedAgain) {
  FasterWay way;
  EXPECT_TRUE(way.is_first());
  time_both(way, 30us, 20us);
  use(way, FasterWay::between, false);
  time_both(way, 20us, 30us);
  use(way, FasterWay::between, true);
  EXPECT_TRUE(way.is_timing());
}

TEST(FasterWay, IsThatOfTheOneInTheMiddle) {
  FasterWay way;
  for (std::size_t i = 0; i < FasterWay::times; ++i) way.note(i % 3 == 0 ? 900us : 20us);
  for (std::size_t i = 0; i < FasterWay::times; ++i) way.note(25us);
  use(way, 1, true);
}

TEST(FasterWay, IsNotJudgedByWhatWaitsForSomethingElse) {
  FasterWay way;
  for (std::size_t i = 0; i < 10 * FasterWay::times; ++i) way.note(FasterWay::longest + 1us);
  EXPECT_TRUE(way.is_timing());
  time_both(way, 30us, 20us);
  use(way, 1, false);
}

TEST(FasterWay, IsFoundByAClock) {
  FasterWay way;
  const auto wait = [](bool first) {
    const auto until = FasterWay::Clock::now() + (first ? 200us : 20us);
    while (FasterWay::Clock::now() < until) continue;
    return first;
  };
  while (way.is_timing()) way.choose(wait);
  EXPECT_FALSE(way.is_first());
}

}  // namespace
}  // namespace redismutex::net
