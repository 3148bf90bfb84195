// What fencing leaves behind on the server: a floor of the tokens, for a minute at most.

#include <future>
#include <string>
#include <vector>

#include "contender.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds a_minute{60'000};

struct Floor : ::testing::Test {
  Server server;
  const Connection connection{server.url()};
  const Connection elsewhere{server.url()};  // as another process

  static Options for_a_day(bool fenced) {
    return {.block_time = limit, .delay = limit - 1s, .expiry = 24h, .fencing = fenced};
  }

  /// Has `second` wait for the lock that `first` holds.
  void hand_over(const RedisMutex& first, const RedisMutex& second) {
    auto lock = first.acquire_lock("key");
    auto next = std::async(std::launch::async, [&] { return second.acquire_lock("key"); });
    ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
    lock.release();
    next.get().release();
  }

  void expect_only_a_floor() {
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().size() == 1; }));
    EXPECT_THAT(server.keys(), ElementsAre("redismutex:floor:{key}"));
    EXPECT_GT(server.pttl("redismutex:floor:{key}"), 0);
    EXPECT_LE(server.pttl("redismutex:floor:{key}"), a_minute.count());
  }
};

TEST_F(Floor, IsAllThatALockLeaves) {
  const RedisMutex mutex{connection, for_a_day(true)};
  auto lock = mutex.acquire_lock("key");
  EXPECT_THAT(server.keys(), ElementsAre("key")) << "as long as it is held";
  lock.extend();
  EXPECT_THAT(server.keys(), ElementsAre("key"));
  lock.release();
  expect_only_a_floor();
}

TEST_F(Floor, IsAllThatAHandOverLeaves) {
  const RedisMutex first{connection, for_a_day(true)}, second{elsewhere, for_a_day(true)};
  for (int i = 0; i < 3; ++i) hand_over(first, second);
  expect_only_a_floor();
}

// Whoever is handed the lock wants no token, and so does not know the last one.
TEST_F(Floor, IsWrittenWhenTheNextOneWantsNoToken) {
  const RedisMutex fenced{connection, for_a_day(true)}, plain{elsewhere, for_a_day(false)};
  hand_over(fenced, plain);
  expect_only_a_floor();
  const auto floor = std::stoull(*server.get("redismutex:floor:{key}"));
  EXPECT_GT(fenced.acquire_lock("key").fencing_token(), floor);
}

// Threads pass it on among themselves, and count the token up; what the last of them had is the floor.
TEST_F(Floor, IsTheHighestTokenThatWasUsed) {
  const RedisMutex mutex{connection, for_a_day(true)};
  auto lock = mutex.acquire_lock("key");
  std::vector<std::future<std::uint64_t>> threads;
  for (int i = 0; i < 8; ++i) {
    threads.push_back(std::async(std::launch::async, [&] { return *mutex.acquire_lock("key").fencing_token(); }));
  }
  lock.release();
  std::uint64_t highest = 0;
  for (auto& thread : threads) highest = std::max(highest, thread.get());
  expect_only_a_floor();
  EXPECT_GE(std::stoull(*server.get("redismutex:floor:{key}")), highest);
}

TEST_F(Floor, IsNotThereWithoutFencing) {
  const RedisMutex first{connection, for_a_day(false)}, second{elsewhere, for_a_day(false)};
  hand_over(first, second);
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << ::testing::PrintToString(server.keys());
}

}  // namespace
}  // namespace redismutex::testing
