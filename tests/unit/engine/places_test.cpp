#include "engine/places.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "unit/engine/place_waiters.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

int count_wake_ups(const Waiters& waiters) {
  int sum = 0;
  for (const auto& waiter : waiters) sum += waiter->conversation.woken;
  return sum;
}

// The places of many waiters take a few commands a round, and wake hardly anybody.
TEST(Places, ManyWaitersCostAFewCommandsARound) {
  Engine engine;
  const Waiters waiters = wait_at_many_keys(engine, 10'000, 500ms);
  engine.world.run_for(3s);
  engine.world.server.counts.clear();
  const int woken = count_wake_ups(waiters);
  const std::clock_t begun = std::clock();
  engine.world.run_for(2s);
  RecordProperty("ms a second, with the fakes",
                 std::to_string(500.0 * static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC));
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
  EXPECT_LE(engine.world.server.count("refresh"), 5 * 80);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  EXPECT_LE(count_wake_ups(waiters), woken + 15)
      << "the first ten, and then one in a delay, look whether the Background runs";
  RecordProperty("commands a round", engine.world.server.count("refresh") / 4);
}

// A waiter wakes when it gets the lock, and when its place is lost.
TEST(Places, OnlyNewsWakesAWaiter) {
  Engine engine;
  engine.world.server.store("job", "somebody", 1h);
  Waiter waiter{engine, "job", 500ms};
  engine.world.run_for(3s);
  const int woken = waiter.conversation.woken;
  const int asked = engine.world.server.count("acquire");
  engine.world.run_for(900ms);
  EXPECT_EQ(waiter.conversation.woken, woken);

  engine.world.server.lines.clear();  // the line is lost, as after FLUSHALL that nobody was told of
  engine.world.run_for(400ms);
  EXPECT_EQ(waiter.conversation.woken, woken + 1);
  EXPECT_EQ(engine.world.server.count("acquire"), asked + 1);
  EXPECT_EQ(engine.world.server.lines.size(), 1U);

  engine.world.server.keys.clear();  // the owner is dead, and nobody else would look
  engine.world.run_for(400ms);
  EXPECT_TRUE(waiter.holds());
}

// One that becomes the first hears of it once.
TEST(Places, TheFirstInLineIsToldOnce) {
  Engine engine;
  engine.world.server.store("job", "somebody", 1h);
  engine.world.server.lines[std::string{protocol::Key{"job"}.line()}].push_back(
      {"other", "0s", engine.world.now() + 1h});
  Waiter waiter{engine, "job", 500ms};
  engine.world.run_for(1s);
  EXPECT_FALSE(waiter.machine.is_first());
  auto& line = engine.world.server.lines.begin()->second;
  line.erase(line.begin());
  engine.world.run_for(500ms);
  EXPECT_TRUE(waiter.machine.is_first());
  engine.world.run_for(50ms);
  const int woken = waiter.conversation.woken;
  engine.world.run_for(3s);
  EXPECT_EQ(waiter.conversation.woken, woken);
}

// Where there is no thread for it each waiter looks by itself.
TEST(Places, WithoutThreadsEachLooksByItself) {
  Engine engine;
  engine.world.background.no_threads = true;
  const Waiters waiters = wait_at_many_keys(engine, 10, 500ms);
  engine.world.run_for(10s);
  EXPECT_GE(engine.world.server.count("acquire"), 10 * 19);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// And where renewing fails each looks soon after it would have looked by itself.
TEST(Places, AFailureLetsEachLookByItself) {
  Engine engine;
  const Waiters waiters = wait_at_many_keys(engine, 300, 500ms);
  engine.world.run_for(2s);
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA" && words.at(1) == protocol::scripts::refresh.sha1) return Reply::error("ERR no");
    return std::nullopt;
  };
  engine.world.run_for(500ms);
  engine.world.server.counts.clear();
  engine.world.run_for(5s);
  EXPECT_GE(engine.world.server.count("acquire"), 300 * 9);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// Should the Background be stuck, one of them finds out in time, and they look by themselves: no place lapses.
TEST(Places, AStuckBackgroundIsNoticedInTime) {
  Engine engine;
  const Waiters waiters = wait_at_many_keys(engine, 300, 500ms);
  engine.world.run_for(8s);  // by now some wake each second
  engine.world.background.stuck = true;
  for (int i = 0; i < 20; ++i) {
    engine.world.run_for(500ms);
    EXPECT_TRUE(all_are_in_line(engine, waiters, 0s)) << "after " << i;
  }
  engine.world.server.counts.clear();
  engine.world.run_for(5s);
  EXPECT_GE(engine.world.server.count("acquire"), 300 * 9);

  engine.world.background.go_on();
  engine.world.run_for(1s);
  engine.world.server.counts.clear();
  engine.world.run_for(5s);
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// A single one notices it, too.
TEST(Places, AStuckBackgroundIsNotWaitedForForEver) {
  Engine engine;
  const Waiters waiters = wait_at_many_keys(engine, 1, 500ms);
  engine.world.run_for(2s);
  engine.world.background.stuck = true;
  engine.world.server.counts.clear();
  engine.world.run_for(7s);
  EXPECT_GE(engine.world.server.count("acquire"), 1);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
}

// But to wake ten thousand threads costs more than to renew their places: each rests the longer the more there are, and no two wake at
// the same time.
TEST(Places, TheMoreWaitTheLongerEachRests) {
  Engine engine;
  Waiters waiters = wait_at_many_keys(engine, 100, 500ms);
  engine.world.run_for(1s);
  const Instant now = engine.world.now();
  std::vector<Instant> wake_at;
  for (const auto& waiter : waiters) {
    waiter->place.wake(now);
    wake_at.push_back(waiter->place.rest(now, now + 500ms));
  }
  std::sort(wake_at.begin(), wake_at.end());
  EXPECT_GE(wake_at.front(), now + 5s);
  EXPECT_GE(wake_at.back(), now + 40s);
  int at_once = 0;
  for (std::size_t i = 1; i < wake_at.size(); ++i) at_once += wake_at[i] == wake_at[i - 1] ? 1 : 0;
  EXPECT_LE(at_once, 20);
}

// A connection that broke is another mailbox: each asks again by itself, and its place goes on.
TEST(Places, AfterAReconnectionThePlacesAreRenewedUnderTheirNewNames) {
  Engine engine;
  const Waiters waiters = wait_at_many_keys(engine, 100, 500ms);
  engine.world.run_for(2s);
  engine.world.break_link();
  engine.world.run_for(2s);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  engine.world.server.counts.clear();
  const int woken = count_wake_ups(waiters);
  engine.world.run_for(2s);
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
  EXPECT_EQ(count_wake_ups(waiters), woken);
}

// A waiter may leave while its place is being renewed, and the session may end.
TEST(Places, AWaiterMayLeaveAtAnyTime) {
  Engine engine;
  engine.world.server.round_trip = 100ms;
  Waiters waiters = wait_at_many_keys(engine, 300, 500ms);
  engine.world.run_for(2s);
  ASSERT_TRUE(engine.world.run_until_is([&] { return engine.world.background.under_way() > 0; }));
  waiters.resize(150);
  engine.world.run_for(2s);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  ASSERT_TRUE(engine.world.run_until_is([&] { return engine.world.background.under_way() > 0; }));
  waiters.clear();
  engine.session.reset();
  engine.world.run_for(2s);
  EXPECT_EQ(engine.world.background.under_way(), 0U);
}

// Waiters with different delays are renewed as often as each wants.
TEST(Places, EachDelayHasItsOwnRounds) {
  Engine engine;
  const Waiters often = wait_at_many_keys(engine, 100, 100ms);
  engine.world.server.store("rare", "somebody", 1h);
  Waiter rare{engine, "rare", 10s};
  engine.world.run_for(100ms);
  engine.world.server.counts.clear();
  engine.world.run_for(20s);
  EXPECT_GE(engine.world.server.count("refresh"), 200);
  EXPECT_LE(engine.world.server.count("refresh"), 400);
  EXPECT_EQ(engine.world.server.count("acquire"), 0);
}

}  // namespace
}  // namespace redismutex::engine
