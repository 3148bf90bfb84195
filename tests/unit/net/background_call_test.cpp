// A function that takes its time holds nobody up, runs once at a time, and lives as long as it runs.

#include "net/background_call.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <variant>

#include "support/eventually.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using std::chrono::steady_clock;
using testing::eventually;
using CallStep = std::variant<Awaited, int>;

/// Goes on until there is a result.
int finish(BackgroundCall<int>& call) {
  for (;;) {
    const CallStep step = call.step(steady_clock::now());
    if (const auto* result = std::get_if<int>(&step)) return *result;
    Awaited awaited = std::get<Awaited>(step);
    awaited.until = far();
    if (poll_until(awaited, nullptr) != Polled::ready) return -1;
  }
}

TEST(BackgroundCall, CallsAnewForEachResult) {
  std::atomic<int> calls{0};
  BackgroundCall<int> call{[&] { return ++calls; }};
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(finish(call), 1);
  EXPECT_EQ(finish(call), 2);
  EXPECT_EQ(calls, 2);
}

// However often somebody asks, and whoever it is: there is one call at a time, and its result is there for the next who asks.
TEST(BackgroundCall, OneAtATime) {
  std::atomic<int> calls{0};
  std::atomic<bool> may_end{false};
  BackgroundCall<int> call{[&] {
    ++calls;
    may_end.wait(false);
    return 7;
  }};
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(std::holds_alternative<Awaited>(call.step(steady_clock::now())));
  may_end = true;
  may_end.notify_all();
  EXPECT_EQ(finish(call), 7);
  EXPECT_EQ(calls, 1);
}

// A result that nobody came for is not used after a while: it speaks of a time that is over.
TEST(BackgroundCall, ResultsGoOutOfDate) {
  std::atomic<int> calls{0};
  std::atomic<bool> may_end{false};
  BackgroundCall<int> call{[&] {
    may_end.wait(false);
    return ++calls;
  }};
  const CallStep step = call.step(steady_clock::now());
  const int ended = std::get<Awaited>(step).fd;
  may_end = true;
  may_end.notify_all();
  ASSERT_EQ(poll_until({ended, POLLIN, far()}, nullptr), Polled::ready);
  const auto later = steady_clock::now() + BackgroundCall<int>::longest_kept + std::chrono::seconds{1};
  const CallStep next = call.step(later);
  const auto* result = std::get_if<int>(&next);
  EXPECT_EQ(result != nullptr ? *result : finish(call), 2);
}

// The one who asked has gone: what the function stands on stays for as long as it runs, and no longer.
TEST(BackgroundCall, OutlivesTheOneWhoAsked) {
  const auto kept = std::make_shared<std::atomic<bool>>(false);
  const std::weak_ptr<std::atomic<bool>> watched = kept;
  std::atomic<bool> runs{false}, ended{false};
  {
    BackgroundCall<int> call{[&, flag = kept] {
      runs = true;
      flag->wait(false);
      ended = true;
      return 1;
    }};
    (void)call.step(steady_clock::now());
    ASSERT_TRUE(eventually(limit, [&] { return runs.load(); }));
  }
  EXPECT_EQ(kept.use_count(), 2);
  *kept = true;
  kept->notify_all();
  EXPECT_TRUE(eventually(limit, [&] { return kept.use_count() == 1; }));
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace redismutex::net
