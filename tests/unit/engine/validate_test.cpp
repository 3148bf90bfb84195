#include "engine/validate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr auto longest = protocol::longest_duration;  // 315360000000 ms

/// The message of the std::invalid_argument that validate throws; empty when it does not.
std::string complaint_about(const Options& options) {
  try {
    validate(options);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

// The defaults pass, and each duration at its bounds.
TEST(Validate, AcceptsWhatCanWork) {
  for (const Options& options : {
           Options{},
           Options{.block_time = 2ms, .delay = 1ms, .expiry = 4ms},
           Options{.block_time = 5000ms, .delay = 4999ms, .expiry = 5001ms},
           Options{.block_time = longest - 1ms, .delay = longest - 2ms, .expiry = longest},
           Options{.blocking = false, .expiry = 4ms},
           Options{.blocking = false, .expiry = longest},
       }) {
    EXPECT_EQ(complaint_about(options), "");
  }
}

// What can not work is refused in words that name field, value and bound.
TEST(Validate, NamesFieldValueAndBound) {
  struct Bad {
    Options options;
    std::vector<std::string> words;
  };
  const std::vector<Bad> table{
      {{.expiry = 0ms}, {"expiry is 0 ms", "at least 4 ms"}},
      {{.expiry = -7ms}, {"expiry is -7 ms", "at least 4 ms"}},
      {{.expiry = milliseconds::min()}, {"expiry is -9223372036854775808 ms"}},
      {{.expiry = longest + 1ms}, {"expiry is 315360000001 ms", "at most 315360000000 ms"}},
      {{.expiry = milliseconds::max()}, {"expiry is 9223372036854775807 ms", "at most"}},
      {{.blocking = false, .expiry = 0ms}, {"expiry is 0 ms"}},
      {{.blocking = false, .expiry = longest + 1ms}, {"expiry", "at most"}},
      {{.block_time = 0ms}, {"block_time is 0 ms", "more than 0"}},
      {{.block_time = -1ms}, {"block_time is -1 ms", "more than 0"}},
      {{.block_time = longest + 1ms, .expiry = longest}, {"block_time", "at most 315360000000 ms"}},
      {{.delay = 0ms}, {"delay is 0 ms", "more than 0"}},
      {{.delay = -1ms}, {"delay is -1 ms", "more than 0"}},
      {{.delay = 5000ms}, {"delay is 5000 ms", "less than block_time", "5000 ms"}},
      {{.delay = 6000ms}, {"delay is 6000 ms", "less than block_time", "5000 ms"}},
      {{.delay = milliseconds::max()}, {"delay"}},
      {{.expiry = 5000ms}, {"expiry is 5000 ms", "more than block_time", "5000 ms"}},
      {{.expiry = 4ms}, {"expiry is 4 ms", "more than block_time", "5000 ms"}},
  };
  for (const auto& [options, words] : table) {
    for (const auto& word : words) EXPECT_THAT(complaint_about(options), HasSubstr(word));
  }
}

TEST(Validate, NamesTheBoundsOfWaiting) {
  EXPECT_EQ(complaint_about({.max_waiters = 0}), "Options::max_waiters is 0, must be from 1 to 1000000");
  EXPECT_EQ(complaint_about({.max_waiters = 1'000'001}), "Options::max_waiters is 1000001, must be from 1 to 1000000");
  EXPECT_EQ(complaint_about({.local_handoffs = -1}), "Options::local_handoffs is -1, must be from 0 to 1000000");
  EXPECT_EQ(complaint_about({.max_waiters = 1, .local_handoffs = 0}), "");
}

TEST(Validate, NamesTheBoundsOfMaxHold) {
  EXPECT_EQ(complaint_about({.auto_renew = true, .max_hold = -1ms}), "Options::max_hold is -1 ms, must be more than 0");
  EXPECT_EQ(complaint_about({.auto_renew = true, .max_hold = 6999ms}),
            "Options::max_hold is 6999 ms, must be at least expiry, 7000 ms");
  EXPECT_EQ(complaint_about({.max_hold = 10s}), "Options::max_hold is set, which needs auto_renew");
  EXPECT_EQ(complaint_about({.auto_renew = true, .max_hold = 7000ms}), "");
}

// A non-blocking mutex uses neither block time nor delay, so any will do.
TEST(Validate, DoesNotCheckWhatANonBlockingMutexDoesNotUse) {
  for (const auto value : {0ms, -1ms, milliseconds::min(), milliseconds::max()}) {
    EXPECT_EQ(complaint_about({.blocking = false, .block_time = value, .delay = value}), "");
  }
  EXPECT_EQ(complaint_about({.blocking = false, .block_time = 100s, .delay = 200s, .expiry = 10ms}), "");
}

// A lease of which the drift leaves nothing could never be held, and is refused, for a new lock and for an extension.
TEST(Validate, RefusesALeaseThatCouldNeverBeHeld) {
  for (const auto expiry : {1ms, 2ms, 3ms}) {
    ASSERT_EQ(protocol::time_left(protocol::valid_until({}, expiry), {}), 0ms);
    const auto refused = ThrowsMessage<std::invalid_argument>(
        AllOf(HasSubstr("expiry is " + std::to_string(expiry.count()) + " ms"), HasSubstr("at least 4 ms")));
    EXPECT_THAT([&] { validate({.blocking = false, .expiry = expiry}); }, refused);
    EXPECT_THAT([&] { check_expiry("extend: expiry", expiry); }, refused);
  }
  EXPECT_NO_THROW(check_expiry("extend: expiry", 4ms));
}

// A single duration is judged by the same bounds, under the name that the caller gives it.
TEST(Validate, ChecksASingleDuration) {
  EXPECT_NO_THROW(check_duration("limit", 1ms));
  EXPECT_NO_THROW(check_duration("limit", longest));
  for (const auto value : {0ms, -1ms, longest + 1ms}) {
    EXPECT_THAT([&] { check_duration("limit", value); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("limit is " + std::to_string(value.count()))));
  }
}

}  // namespace
}  // namespace redismutex::engine
