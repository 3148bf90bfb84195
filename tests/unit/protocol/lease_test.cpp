#include "protocol/lease.hpp"

#include <gtest/gtest.h>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;

// The drift is 1 % and 2 ms, also where that is no whole millisecond.
TEST(Lease, DriftIsOnePercentAndTwoMilliseconds) {
  EXPECT_EQ(drift(0ms), 2ms);
  EXPECT_EQ(drift(1ms), 2ms + 10us);
  EXPECT_EQ(drift(7000ms), 72ms);
  EXPECT_EQ(drift(longest_duration), longest_duration / 100 + 2ms);
}

// A lease counts from when its request was sent, and ends a drift before the server's.
TEST(Lease, IsValidFromSendingLessTheDrift) {
  static_assert(valid_until(at(0s), 7000ms) == at(6928ms));
  EXPECT_EQ(valid_until(at(3s), 100ms), at(3s + 97ms));
  for (const auto expiry : {1ms, 2ms, 3ms, 10ms, 999ms, 7000ms}) {
    EXPECT_LT(valid_until(at(0s), expiry), at(expiry)) << expiry.count();
  }
}

// A lease no longer than the drift is over before it begins, rather than valid for ever.
TEST(Lease, ShorterThanTheDriftIsNeverValid) {
  EXPECT_LT(valid_until(at(0s), 1ms), at(0s));
  EXPECT_LT(valid_until(at(0s), 2ms), at(0s));
  EXPECT_EQ(time_left(valid_until(at(0s), 2ms), at(0s)), 0ms);
}

// The longest lease, on a machine that has run for a century, does not overflow.
TEST(Lease, LongestFitsTheClock) {
  const Instant late{std::chrono::hours{24 * 365 * 100}};
  EXPECT_EQ(valid_until(late, longest_duration) - late, longest_duration - drift(longest_duration));
}

// What is left is rounded down, and never negative: at the boundaries, far before and far after.
TEST(Lease, TimeLeftIsRoundedDownAndNeverNegative) {
  static_assert(time_left(at(10ms), at(7ms)) == 3ms);
  EXPECT_EQ(time_left(at(10ms), at(0ms)), 10ms);
  EXPECT_EQ(time_left(at(10ms), at(1ns)), 9ms);
  EXPECT_EQ(time_left(at(10ms), at(9ms)), 1ms);
  EXPECT_EQ(time_left(at(10ms), at(9ms + 1ns)), 0ms);
  EXPECT_EQ(time_left(at(10ms), at(10ms)), 0ms);
  EXPECT_EQ(time_left(at(10ms), at(10ms + 1ns)), 0ms);
  EXPECT_EQ(time_left(at(10ms), at(24h)), 0ms);
  EXPECT_EQ(time_left(Instant{}, at(24h)), 0ms);
}

}  // namespace
}  // namespace redismutex::protocol
