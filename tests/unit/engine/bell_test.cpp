#include "engine/bell.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(Bell, SleepEndsAtTheDeadline) {
  Bell bell;
  const auto deadline = Clock::now() + 10ms;
  bell.sleep(deadline);
  EXPECT_GE(Clock::now(), deadline);
}

// Rung before its thread sleeps: then it does not, once.
TEST(Bell, ARingIsNotMissed) {
  Bell bell;
  EXPECT_EQ(bell.ring(), nullptr) << "nobody is to be woken";
  bell.ring_and_wake();
  bell.sleep(Clock::time_point::max());
  const auto deadline = Clock::now() + 10ms;
  bell.sleep(deadline);
  EXPECT_GE(Clock::now(), deadline) << "both rings were for one sleep";
}

// Rung for good it stays, also for one that slept or was rung before; and a deadline does not hide it.
TEST(Bell, RungForGood) {
  Bell bell;
  EXPECT_FALSE(bell.sleep(Clock::now() + 1ms));
  bell.ring();
  EXPECT_FALSE(bell.sleep(Clock::time_point::max()));
  bell.ring(Bell::Ring::for_good);
  bell.ring();
  EXPECT_TRUE(bell.sleep(Clock::time_point::max()));
  EXPECT_TRUE(bell.sleep(Clock::time_point::min()));
}

// From another thread, before, while and after its own falls asleep.
TEST(Bell, RungForGoodByAnother) {
  for (int round = 0; round < 500; ++round) {
    Bell bell;
    std::jthread ringer{[&bell] {
      Wakeups wakeups;
      wakeups.add(bell, Bell::Ring::for_good);
    }};
    ASSERT_TRUE(bell.sleep(Clock::now() + 10s));
  }
}

// A bell may go as soon as its thread has seen what it was rung for, which may be before the thread was woken.
TEST(Bell, GoesWhileItIsRung) {
  constexpr int rounds = 2000;
  struct Round {
    Bell bell;
    bool over = false;
  };
  std::mutex mutex;
  Round* current = nullptr;
  int played = 0;
  std::jthread ringer{[&] {
    while (played < rounds) {
      Wakeups wakeups;
      const std::lock_guard lock{mutex};
      if (current == nullptr || current->over) continue;
      current->over = true;
      ++played;
      wakeups.add(current->bell);
    }
  }};
  for (int i = 0; i < rounds; ++i) {
    const auto round = std::make_unique<Round>();
    std::unique_lock lock{mutex};
    current = round.get();
    while (!round->over) {
      lock.unlock();
      round->bell.sleep(Clock::now() + 10s);
      lock.lock();
    }
    current = nullptr;
  }
}

}  // namespace
}  // namespace redismutex::engine
