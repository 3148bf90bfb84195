// Who waits, and since when: whichever of a wait's beginning and its end is told first.

#include "metrics/waits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace redismutex::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Waits::Clock::time_point start{1h};
constexpr int one = 1, other = 2;

TEST(Waits, TheOldestOfEachMutex) {
  Waits waits;
  waits.begin(&one, "imports", start);
  waits.begin(&other, "imports", start + 3s);
  auto summaries = waits.summaries(start + 5s);
  ASSERT_THAT(summaries, SizeIs(1));
  EXPECT_EQ(summaries["imports"].number, 2U);
  EXPECT_EQ(summaries["imports"].oldest, 5s);

  waits.end(&one);
  summaries = waits.summaries(start + 5s);
  EXPECT_EQ(summaries["imports"].number, 1U);
  EXPECT_EQ(summaries["imports"].oldest, 2s);

  waits.end(&other);
  EXPECT_THAT(waits.summaries(start + 5s), IsEmpty());
}

TEST(Waits, AnEndThatIsToldBeforeItsBeginning) {
  Waits waits;
  waits.end(&one);
  EXPECT_THAT(waits.summaries(start), IsEmpty());
  waits.begin(&one, "imports", start);
  EXPECT_THAT(waits.summaries(start), IsEmpty());

  // The next attempt may be at the same place.
  waits.begin(&one, "imports", start);
  EXPECT_THAT(waits.summaries(start), SizeIs(1));
}

}  // namespace
}  // namespace redismutex::metrics
