// A scan asks for as many keys at once as keep the server for less than half a millisecond.

#include "api/scan_pace.hpp"

#include <gtest/gtest.h>

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;
using Nanoseconds = std::chrono::duration<double, std::nano>;

constexpr auto trip = 50us;

/// After so many steps on a server that needs `a_key` for each key.
std::size_t count_after(int steps, ScanPace& pace, Nanoseconds a_key) {
  for (int i = 0; i < steps; ++i) {
    pace.note(trip + std::chrono::duration_cast<ScanPace::Duration>(a_key * static_cast<double>(pace.count())));
  }
  return pace.count();
}

TEST(ScanPace, BeginsWithAFew) { EXPECT_EQ(ScanPace(1000, trip).count(), 100u); }

TEST(ScanPace, FindsWhatAServerDoesInTheTime) {
  for (const auto a_key : {500ns, 800ns, 1000ns, 2000ns}) {
    ScanPace pace{1000, trip};
    const auto count = count_after(20, pace, a_key);
    EXPECT_LE(a_key * count, ScanPace::target) << a_key.count();
    EXPECT_GE(a_key * count, ScanPace::target / 2) << a_key.count();
  }
}

TEST(ScanPace, StaysWithinItsBounds) {
  ScanPace fast{1000, trip};
  EXPECT_EQ(count_after(50, fast, 1ns), 1000u);
  EXPECT_EQ(count_after(50, fast, 1ms), 100u);
  ScanPace bounded{10, trip};
  EXPECT_EQ(bounded.count(), 10u);
  EXPECT_EQ(count_after(50, bounded, 1ns), 10u);
  EXPECT_EQ(count_after(50, bounded, 1ms), 10u);
}

// The database gets slower in its middle.
TEST(ScanPace, IsHalvedAtOnce) {
  ScanPace pace{1000, trip};
  const auto before = count_after(20, pace, 500ns);
  pace.note(trip + 3ms);
  EXPECT_EQ(pace.count(), before / 2);
}

// One step that took long, because somebody else had the processor, costs three steps.
TEST(ScanPace, ForgetsOneThatTookLong) {
  ScanPace pace{1000, trip};
  const auto before = count_after(20, pace, 800ns);
  pace.note(trip + 20ms);
  EXPECT_GE(count_after(4, pace, 800ns) * 10, before * 9);
}

// A network that takes longer than the server says nothing about the server.
TEST(ScanPace, DoesNotMeasureByASlowNetwork) {
  ScanPace pace{1000, 30ms};
  EXPECT_EQ(pace.count(), 250u);
  pace.note(80ms);
  pace.note(30ms);
  EXPECT_EQ(pace.count(), 250u);
  EXPECT_EQ(ScanPace(20, 30ms).count(), 20u);
}

}  // namespace
}  // namespace redismutex::api
