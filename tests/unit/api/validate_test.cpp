#include "api/validate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "protocol/lease.hpp"

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A lease of which the drift leaves nothing could never be held, and is refused.
TEST(Validate, RefusesALeaseThatCouldNeverBeHeld) {
  for (const auto expiry : {1ms, 2ms, 3ms}) {
    ASSERT_EQ(protocol::time_left(protocol::valid_until({}, expiry), {}), 0ms);
    EXPECT_THAT(
        [&] { check_expiry("extend: expiry", expiry); },
        ThrowsMessage<std::invalid_argument>(AllOf(
            HasSubstr("extend: expiry is " + std::to_string(expiry.count()) + " ms"), HasSubstr("at least 4 ms"))));
  }
  EXPECT_NO_THROW(check_expiry("extend: expiry", 4ms));
  EXPECT_NO_THROW(check_expiry("extend: expiry", protocol::longest_duration));
  EXPECT_THAT([&] { check_expiry("extend: expiry", protocol::longest_duration + 1ms); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("at most 315360000000 ms")));
}

// A single duration is judged under the name that the caller gives it.
TEST(Validate, ChecksASingleDuration) {
  EXPECT_NO_THROW(check_duration("limit", 1ms));
  EXPECT_NO_THROW(check_duration("limit", protocol::longest_duration));
  for (const auto value : {0ms, -1ms, protocol::longest_duration + 1ms}) {
    EXPECT_THAT([&] { check_duration("limit", value); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("limit is " + std::to_string(value.count()))));
  }
}

}  // namespace
}  // namespace redismutex::api
