// Options::fencing: a token with each lock, above all before it, whatever happens in between.

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "monitor.hpp"
#include "support/process.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Options fenced{.block_time = limit, .delay = 50ms, .expiry = 2 * limit, .fencing = true};

/// Takes the lock, and gives it back.
std::uint64_t token_of(const RedisMutex& mutex) { return mutex.acquire_lock("key").fencing_token().value(); }

/// Counts those who found somebody else inside, and are in line now.
class Line : public Observer {
 public:
  void wait_began(const WaitBegan& /*event*/) noexcept override { ++waiting_; }
  int waiting() const noexcept { return waiting_; }

 private:
  std::atomic<int> waiting_ = 0;
};

struct Fencing : ::testing::Test {
  Server server;
  std::shared_ptr<Line> line = std::make_shared<Line>();
  Connection connection = [this] {
    ConnectionOptions options = parse_url(server.url());
    options.observer = line;
    return Connection{options};
  }();
  RedisMutex mutex{connection, fenced};

  long long floor_ttl() { return server.pttl("redismutex:floor:{key}"); }
};

TEST_F(Fencing, TokensRise) {
  std::uint64_t before = 0;
  for (int i = 0; i < 100; ++i) {
    const auto token = token_of(mutex);
    EXPECT_GT(token, before);
    before = token;
  }
}

TEST_F(Fencing, OffByDefault) {
  const auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  EXPECT_EQ(lock.fencing_token(), std::nullopt);
  EXPECT_THAT(server.keys(), ElementsAre("key"));
}

// Like the plain lock: one round trip to take it, one to give it back.
TEST(FencingCost, IsNoRoundTrip) {
  Server server({.tcp = true});
  const RedisMutex mutex{Connection{server.url()}, fenced};
  token_of(mutex);
  Monitor monitor(server);
  token_of(mutex);
  EXPECT_THAT(monitor.commands(), ElementsAre("MULTI", "SET", "GET", "TIME", "EXEC", "EVALSHA"));
}

// What is left behind is a floor, and not for ever.
TEST_F(Fencing, LeavesAFloorWithATimeToLive) {
  token_of(mutex);
  EXPECT_THAT(server.keys(), ElementsAre("redismutex:floor:{key}"));
  EXPECT_GE(floor_ttl(), 60'000 - limit.count());
  EXPECT_LE(floor_ttl(), 60'000);
}

// The key is gone, by expiry or by hand, and so may be the floor: time alone makes the next one higher.
TEST_F(Fencing, RisesWithoutTheFloor) {
  const auto before = token_of(mutex);
  server.command({"FLUSHALL"});
  EXPECT_GT(token_of(mutex), before);
}

// The clock was set back: the floor makes the next one higher. (Here it is the floor that is set ahead.)
TEST_F(Fencing, RisesAboveTheFloor) {
  const auto before = token_of(mutex);
  const auto ahead = before + 3'600'000'000ULL;
  server.command({"SET", "redismutex:floor:{key}", std::to_string(ahead)});
  const auto next = token_of(mutex);
  EXPECT_GT(next, ahead);
  EXPECT_LT(next, ahead + 1000);
  EXPECT_GT(token_of(mutex), next);
}

// A failover to a replica that missed everything: the token of the new primary is higher all the same.
TEST_F(Fencing, RisesAcrossAFailoverThatLostTheLock) {
  const auto before = token_of(mutex);
  Server promoted;  // empty, as a replica that has not got the write
  EXPECT_GT(token_of(RedisMutex{Connection{promoted.url()}, fenced}), before);
}

// Handed over by the server to another process, and passed on to another thread of this one.
TEST_F(Fencing, RisesWhenHandedOver) {
  std::optional<Lock> lock = mutex.acquire_lock("key");
  const auto before = lock->fencing_token().value();
  const ChildProcess next([&] {
    const auto token = token_of(RedisMutex{Connection{server.url()}, fenced});
    return token > before ? 0 : 1;
  });
  ASSERT_TRUE(eventually(limit, [&] { return server.exists("redismutex:{key}"); }));
  lock.reset();
  EXPECT_EQ(next.wait(limit), exited(0));
}

TEST_F(Fencing, RisesByOneWhenPassedOn) {
  std::optional<Lock> lock = mutex.acquire_lock("key");
  const auto before = lock->fencing_token().value();
  std::uint64_t after = 0;
  std::jthread next([&] { after = token_of(mutex); });
  ASSERT_TRUE(eventually(limit, [&] { return line->waiting() == 1; }));
  lock.reset();
  next.join();
  EXPECT_EQ(after, before + 1);
}

// Many threads of two processes, who pass the lock on and hand it over: in the order of being inside, tokens rise.
TEST_F(Fencing, RisesThroughManyThreadsAndProcesses) {
  constexpr int threads = 4, turns = 200;
  const auto all_rise = [&](const RedisMutex& fenced_mutex) {
    std::atomic<std::uint64_t> newest = 0;
    std::atomic<bool> rises = true;
    std::vector<std::jthread> crew;
    for (int i = 0; i < threads; ++i) {
      crew.emplace_back([&] {
        for (int turn = 0; turn < turns; ++turn) {
          const auto lock = fenced_mutex.acquire_lock("key");
          const auto token = lock.fencing_token().value();
          if (newest.exchange(token) >= token) rises = false;
        }
      });
    }
    crew.clear();
    return rises.load();
  };
  const ChildProcess others([&] { return all_rise(RedisMutex{Connection{server.url()}, fenced}) ? 0 : 1; });
  EXPECT_TRUE(all_rise(mutex));
  EXPECT_EQ(others.wait(4 * limit), exited(0));
}

// Threads that want no token pass the lock to one that does: it gets one all the same.
TEST_F(Fencing, IsMintedEvenAfterThreadsThatWantNone) {
  const auto before = token_of(mutex);
  std::optional<Lock> lock = RedisMutex{connection, patient}.acquire_lock("key");
  std::uint64_t after = 0;
  std::jthread next([&] { after = token_of(mutex); });
  ASSERT_TRUE(eventually(limit, [&] { return line->waiting() == 1; }));
  lock.reset();
  next.join();
  EXPECT_GT(after, before);
}

// A try that fails mints nothing and leaves nothing.
TEST_F(Fencing, ATryThatFailsLeavesNothing) {
  server.command({"SET", "key", "other", "PX", "60000"});
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_THAT(server.keys(), ElementsAre("key"));
  server.command({"DEL", "key"});
}

// The token belongs to the Lock: none is left in an empty one.
TEST_F(Fencing, IsGoneWithTheLock) {
  auto lock = mutex.acquire_lock("key");
  const auto moved = std::move(lock);
  EXPECT_EQ(lock.fencing_token(), std::nullopt);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(moved.fencing_token());
}

}  // namespace
}  // namespace redismutex::testing
