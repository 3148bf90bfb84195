// What is left out of Options is fitted to what is said, and what can not work is refused in words that say what would.

#include "api/fit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "protocol/lease.hpp"

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto longest = protocol::longest_duration;  // 315360000000 ms

/// The message of the std::invalid_argument that fit() throws; empty when it does not.
std::string complaint_about(const Options& options) {
  try {
    fit(options);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

struct Times {
  milliseconds block_time, delay, expiry;
  bool operator==(const Times&) const = default;
};

Times times_of(const Options& options) {
  const Options fitted = fit(options);
  return {fitted.block_time.value(), fitted.delay.value(), fitted.expiry.value()};
}

void PrintTo(const Times& times, std::ostream* out) {
  *out << times.block_time.count() << ", " << times.delay.count() << ", " << times.expiry.count();
}

std::string shown(const Options& options) {
  const auto text = [](const std::optional<milliseconds>& value) {
    return value ? std::to_string(value->count()) + " ms" : "-";
  };
  return "block_time " + text(options.block_time) + ", delay " + text(options.delay) + ", expiry " +
         text(options.expiry) + (options.blocking ? ", blocking" : "") + (options.auto_renew ? ", auto_renew" : "");
}

// ---- what is left out -----------------------------------------------------------------------------------------------

TEST(Fit, WithoutAWordTheTimesAreThoseOfThePythonOriginal) {
  EXPECT_EQ(times_of({}), (Times{5s, 500ms, 7s}));
  EXPECT_EQ(times_of({.blocking = false}), (Times{5s, 500ms, 7s}));
  EXPECT_EQ(times_of({.auto_renew = true}), (Times{5s, 500ms, 7s}));
}

TEST(Fit, TheWaitFitsIntoTheLease) {
  EXPECT_EQ(times_of({.expiry = 7s}), (Times{5s, 500ms, 7s}));
  EXPECT_EQ(times_of({.expiry = 1min}), (Times{5s, 500ms, 1min}));
  EXPECT_EQ(times_of({.expiry = 3s}), (Times{2142ms, 214ms, 3s}));
  EXPECT_EQ(times_of({.expiry = 700ms}), (Times{500ms, 50ms, 700ms}));
  EXPECT_EQ(times_of({.expiry = 4ms}), (Times{2ms, 1ms, 4ms}));
  EXPECT_EQ(times_of({.expiry = longest}), (Times{5s, 500ms, longest}));
}

TEST(Fit, TheLeaseOutlastsTheWait) {
  EXPECT_EQ(times_of({.block_time = 200ms}), (Times{200ms, 20ms, 7s}));
  EXPECT_EQ(times_of({.block_time = 5s}), (Times{5s, 500ms, 7s}));
  EXPECT_EQ(times_of({.block_time = 10s}), (Times{10s, 500ms, 14s}));
  EXPECT_EQ(times_of({.block_time = 2ms}), (Times{2ms, 1ms, 7s}));
  EXPECT_EQ(times_of({.block_time = longest - 1ms}), (Times{longest - 1ms, 500ms, longest}));
}

TEST(Fit, TheWaitIsLongerThanTheDelay) {
  EXPECT_EQ(times_of({.delay = 10ms}), (Times{5s, 10ms, 7s}));
  EXPECT_EQ(times_of({.delay = 2s}), (Times{20s, 2s, 28s}));
  EXPECT_EQ(times_of({.delay = longest - 2ms}), (Times{longest - 1ms, longest - 2ms, longest}));
}

TEST(Fit, TwoThatAreSaidDecideOnTheThird) {
  EXPECT_EQ(times_of({.block_time = 10s, .delay = 3s}), (Times{10s, 3s, 14s}));
  EXPECT_EQ(times_of({.block_time = 100ms, .expiry = 200ms}), (Times{100ms, 10ms, 200ms}));
  EXPECT_EQ(times_of({.block_time = 60s, .expiry = 61s}), (Times{60s, 500ms, 61s}));
  EXPECT_EQ(times_of({.delay = 1s, .expiry = 1min}), (Times{10s, 1s, 1min}));
  EXPECT_EQ(times_of({.delay = 1s, .expiry = 7s}), (Times{5s, 1s, 7s}));
  EXPECT_EQ(times_of({.delay = 6s, .expiry = 7s}), (Times{6001ms, 6s, 7s})) << "more than 5/7 of the lease";
  EXPECT_EQ(times_of({.delay = 2ms, .expiry = 4ms}), (Times{3ms, 2ms, 4ms}));
  EXPECT_EQ(times_of({.block_time = 10s, .delay = 500ms, .expiry = 12s}), (Times{10s, 500ms, 12s}));
}

// With a lease that is renewed a wait may be longer than it.
TEST(Fit, ARenewedLeaseDoesNotBoundTheWait) {
  EXPECT_EQ(times_of({.block_time = 1h, .auto_renew = true}), (Times{1h, 500ms, 7s}));
  EXPECT_EQ(times_of({.expiry = 1s, .auto_renew = true}), (Times{5s, 500ms, 1s}));
  EXPECT_EQ(times_of({.block_time = 1h, .expiry = 1s, .auto_renew = true}), (Times{1h, 500ms, 1s}));
  EXPECT_EQ(times_of({.delay = 5s, .expiry = 1s, .auto_renew = true}), (Times{50s, 5s, 1s}));
}

// A mutex that does not wait has no use for a block time: any will do, and nothing is fitted to it.
TEST(Fit, TheBlockTimeOfANonBlockingMutexDoesNotMatter) {
  for (const auto value : {0ms, -1ms, 1ms, milliseconds::min(), milliseconds::max()}) {
    EXPECT_EQ(times_of({.blocking = false, .block_time = value}), (Times{value, 500ms, 7s}));
    EXPECT_EQ(times_of({.blocking = false, .block_time = value, .delay = 9s, .expiry = 10ms}),
              (Times{value, 9s, 10ms}));
  }
  EXPECT_EQ(times_of({.blocking = false, .expiry = 10ms}), (Times{5s, 500ms, 10ms}));
}

TEST(Fit, TheRestStaysAsItIs) {
  const Options options{
      .blocking = false, .max_waiters = 3, .local_handoffs = 5, .auto_renew = true, .max_hold = 1h, .fencing = true};
  const Options fitted = fit(options);
  EXPECT_FALSE(fitted.blocking);
  EXPECT_EQ(fitted.max_waiters, 3);
  EXPECT_EQ(fitted.local_handoffs, 5);
  EXPECT_TRUE(fitted.auto_renew);
  EXPECT_EQ(fitted.max_hold, 1h);
  EXPECT_TRUE(fitted.fencing);
}

// Whichever of the times are said, within their bounds and without contradiction: the outcome has all of them, those that
// were said as they were, the delay below the wait, the wait below the lease where that is asked for, and nothing beyond the
// bounds; and it fits as it is.
TEST(Fit, WhateverIsSaidTheOutcomeFits) {
  std::mt19937_64 random{20240607};
  const auto coin = [&] { return random() % 2 == 0; };
  // Of all magnitudes, with many at the bounds and next to each other.
  const auto duration = [&](milliseconds least, milliseconds most) {
    const auto from = static_cast<double>(least.count()), to = static_cast<double>(most.count());
    switch (random() % 8) {
      case 0: return least;
      case 1: return most;
      default: break;
    }
    const double exponent = std::uniform_real_distribution<>{std::log(from), std::log(to)}(random);
    return std::clamp(milliseconds{std::llround(std::exp(exponent))}, least, most);
  };
  int refused = 0;
  constexpr int rounds = 50'000;
  for (int i = 0; i < rounds; ++i) {
    Options said{.blocking = coin(), .auto_renew = coin()};
    const milliseconds ceiling = coin() ? longest : milliseconds{20};
    if (coin()) said.block_time = duration(2ms, ceiling - 1ms);
    if (coin()) said.delay = duration(1ms, ceiling - 2ms);
    if (coin()) said.expiry = duration(4ms, ceiling);
    const bool within_lease = said.blocking && !said.auto_renew;
    const bool contradicts = (said.blocking && said.block_time && said.delay && *said.delay >= *said.block_time) ||
                             (within_lease && said.block_time && said.expiry && *said.expiry <= *said.block_time) ||
                             (within_lease && said.delay && said.expiry && *said.expiry < *said.delay + 2ms);
    if (contradicts) {
      ++refused;
      ASSERT_NE(complaint_about(said), "") << shown(said);
      continue;
    }
    ASSERT_EQ(complaint_about(said), "") << shown(said);
    const Times times = times_of(said);
    const std::string both = shown(said) + " -> " + ::testing::PrintToString(times);
    ASSERT_EQ(times.block_time, said.block_time.value_or(times.block_time)) << both;
    ASSERT_EQ(times.delay, said.delay.value_or(times.delay)) << both;
    ASSERT_EQ(times.expiry, said.expiry.value_or(times.expiry)) << both;
    ASSERT_TRUE(!said.blocking || times.delay < times.block_time) << both;
    ASSERT_TRUE(!within_lease || times.block_time < times.expiry) << both;
    ASSERT_GE(times.delay, 1ms) << both;
    ASSERT_GE(times.block_time, 2ms) << both;
    ASSERT_LE(times.delay, longest) << both;
    ASSERT_LE(times.block_time, longest) << both;
    ASSERT_GE(times.expiry, 4ms) << both;
    ASSERT_LE(times.expiry, longest) << both;
    ASSERT_EQ(times_of(fit(said)), times) << both;
  }
  EXPECT_GT(refused, rounds / 50);
  EXPECT_LT(refused, rounds / 2);
}

// ---- what is refused ------------------------------------------------------------------------------------------------

TEST(Fit, NamesFieldValueAndBound) {
  struct Bad {
    Options options;
    std::vector<std::string> words;
  };
  const std::vector<Bad> table{
      {{.expiry = 0ms}, {"Options::expiry is 0 ms", "at least 4 ms"}},
      {{.expiry = -7ms}, {"Options::expiry is -7 ms", "at least 4 ms"}},
      {{.expiry = 3ms}, {"Options::expiry is 3 ms", "at least 4 ms"}},
      {{.expiry = milliseconds::min()}, {"expiry is -9223372036854775808 ms"}},
      {{.expiry = longest + 1ms}, {"expiry is 315360000001 ms", "at most 315360000000 ms"}},
      {{.expiry = milliseconds::max()}, {"expiry is 9223372036854775807 ms", "at most"}},
      {{.blocking = false, .expiry = 0ms}, {"expiry is 0 ms"}},
      {{.blocking = false, .expiry = longest + 1ms}, {"expiry", "at most"}},
      {{.block_time = 0ms}, {"Options::block_time is 0 ms", "from 2 to 315359999999 ms"}},
      {{.block_time = -1ms}, {"block_time is -1 ms", "from 2 to"}},
      {{.block_time = 1ms}, {"block_time is 1 ms", "from 2 to"}},
      {{.block_time = longest}, {"block_time is 315360000000 ms", "to 315359999999 ms"}},
      {{.block_time = longest + 1ms, .expiry = longest}, {"block_time is 315360000001 ms"}},
      {{.block_time = milliseconds::max(), .auto_renew = true}, {"block_time is 9223372036854775807 ms"}},
      {{.delay = 0ms}, {"Options::delay is 0 ms", "from 1 to 315359999998 ms"}},
      {{.delay = -1ms}, {"delay is -1 ms", "from 1 to"}},
      {{.delay = milliseconds::max()}, {"delay is 9223372036854775807 ms"}},
      {{.delay = milliseconds::min()}, {"delay is -9223372036854775808 ms"}},
  };
  for (const auto& [options, words] : table) {
    for (const auto& word : words) EXPECT_THAT(complaint_about(options), HasSubstr(word));
  }
}

// The delay counts in every mutex: try_acquire_lock_for waits in one that does not block, too.
TEST(Fit, TheDelayIsCheckedInANonBlockingMutexToo) {
  for (const auto value : {0ms, -1ms, longest, milliseconds::min(), milliseconds::max()}) {
    EXPECT_THAT(complaint_about({.blocking = false, .delay = value}),
                HasSubstr("Options::delay is " + std::to_string(value.count()) + " ms"));
  }
}

TEST(Fit, AContradictionNamesBothAndARemedy) {
  EXPECT_EQ(
      complaint_about({.block_time = 5s, .delay = 5s}),
      "Options::delay is 5000 ms, must be less than block_time, 5000 ms; leave one of the two out, and it is fitted "
      "to the other");
  EXPECT_EQ(
      complaint_about({.block_time = 5s, .expiry = 3s}),
      "Options::expiry is 3000 ms, must be more than block_time, 5000 ms; leave one of the two out, and it is fitted "
      "to the other; or set auto_renew: then a wait may be longer than the lease");
  EXPECT_EQ(
      complaint_about({.delay = 3s, .expiry = 3001ms}),
      "Options::delay is 3000 ms, must be at least 2 ms less than expiry, 3001 ms, so that block_time fits between "
      "them; leave one of the two out, and it is fitted to the other; or set auto_renew: then a wait may be longer "
      "than the lease");
  EXPECT_THAT(complaint_about({.block_time = 5s, .delay = 5s, .auto_renew = true}), HasSubstr("less than block_time"));
}

// Each remedy works.
TEST(Fit, TheRemediesWork) {
  EXPECT_EQ(complaint_about({.delay = 5s}), "");
  EXPECT_EQ(complaint_about({.block_time = 5s}), "");
  EXPECT_EQ(complaint_about({.expiry = 3s}), "");
  EXPECT_EQ(complaint_about({.block_time = 5s, .expiry = 3s, .auto_renew = true}), "");
  EXPECT_EQ(complaint_about({.delay = 3s, .expiry = 3001ms, .auto_renew = true}), "");
}

TEST(Fit, NamesTheBoundsOfWaiting) {
  EXPECT_EQ(complaint_about({.max_waiters = 0}), "Options::max_waiters is 0, must be from 1 to 1000000");
  EXPECT_EQ(complaint_about({.max_waiters = 1'000'001}), "Options::max_waiters is 1000001, must be from 1 to 1000000");
  EXPECT_EQ(complaint_about({.replicas = -1}), "Options::replicas is -1, must be from 0 to 1000000");
  EXPECT_EQ(complaint_about({.replicas = Replicas::all}), "");
  EXPECT_EQ(complaint_about({.local_handoffs = -1}), "Options::local_handoffs is -1, must be from 0 to 1000000");
  EXPECT_EQ(complaint_about({.max_waiters = 1, .local_handoffs = 0}), "");
}

TEST(Fit, NamesTheBoundsOfMaxHold) {
  EXPECT_EQ(complaint_about({.auto_renew = true, .max_hold = -1ms}), "Options::max_hold is -1 ms, must be more than 0");
  EXPECT_THAT(complaint_about({.auto_renew = true, .max_hold = 6999ms}),
              AllOf(HasSubstr("Options::max_hold is 6999 ms, must be at least expiry, 7000 ms"),
                    HasSubstr("a shorter expiry")));
  EXPECT_EQ(complaint_about({.expiry = 6s, .auto_renew = true, .max_hold = 6999ms}), "");
  EXPECT_EQ(complaint_about({.max_hold = 10s}), "Options::max_hold is set, which needs auto_renew");
  EXPECT_EQ(complaint_about({.auto_renew = true, .max_hold = 7000ms}), "");
}

// A label that would be cut is refused.
TEST(Fit, ALabelHasALimit) {
  EXPECT_EQ(complaint_about({.label = std::string(512, 'x')}), "");
  EXPECT_EQ(complaint_about({.label = std::string(513, 'x')}), "Options::label has 513 bytes, at most 512 are allowed");
}

}  // namespace
}  // namespace redismutex::api
