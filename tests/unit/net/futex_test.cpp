#include "net/futex.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

const auto no_deadline = Deadline::max();

// Who would sleep for something that has happened does not; no deadline is too far, or too long ago.
TEST(Futex, DoesNotSleepOnAnotherValue) {
  const std::atomic<std::uint32_t> word{1};
  EXPECT_TRUE(futex_wait(word, 0, no_deadline));
  EXPECT_TRUE(futex_wait(word, 0, Deadline{}));
}

TEST(Futex, SleepsUntilTheDeadline) {
  const std::atomic<std::uint32_t> word{1};
  const auto start = steady_clock::now();
  while (futex_wait(word, 1, start + 5ms)) continue;
  EXPECT_GE(steady_clock::now() - start, 5ms);
  EXPECT_FALSE(futex_wait(word, 1, start)) << "which has passed";
  EXPECT_FALSE(futex_wait(word, 1, Deadline::min()));
}

TEST(Futex, IsWoken) {
  std::atomic<std::uint32_t> word{1};
  std::thread sleeper{[&] {
    while (word == 1) futex_wait(word, 1, no_deadline);
  }};
  word = 2;
  futex_wake_one(&word);
  sleeper.join();
}

// All are woken for whom a bit was set.
TEST(Futex, WakesAllWithABit) {
  std::atomic<std::uint32_t> word{1};
  std::vector<std::jthread> sleepers;
  for (const std::uint32_t bits : {1U, 2U, 2U}) {
    sleepers.emplace_back([&word, bits] {
      while (word == 1) futex_wait(word, 1, no_deadline, bits);
    });
  }
  word = 2;
  futex_wake_all(&word, 1U | 2U);
}

// To wake who slept on memory that is gone, or never was any, does no harm.
TEST(Futex, MayBeGone) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::munmap(memory, page), 0);
  futex_wake_one(static_cast<std::atomic<std::uint32_t>*>(memory));
  futex_wake_one(nullptr);
}

}  // namespace
}  // namespace redismutex::net
