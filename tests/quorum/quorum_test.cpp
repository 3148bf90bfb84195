// Locks of several independent servers: held by whoever has a majority of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "quorum/with_quorum.hpp"
#include "support/eventually.hpp"

namespace redismutex {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::QuorumServers;
using ::testing::IsEmpty;

// For what must happen.
constexpr std::chrono::milliseconds limit{15'000};

class Quorum : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { servers_ = new QuorumServers; }
  static void TearDownTestSuite() {
    delete servers_;
    servers_ = nullptr;
  }
  void SetUp() override {
    for (testing::Server& server : servers()) server.command({"FLUSHALL"});
  }

  static QuorumServers& servers() { return *servers_; }

 private:
  static QuorumServers* servers_;
};
QuorumServers* Quorum::servers_ = nullptr;

TEST_F(Quorum, IsHeldAtAMajorityAndLeavesNothingBehind) {
  const RedisMutex mutex{servers().connection()};
  Lock lock = mutex.acquire_lock("job");
  EXPECT_GE(servers().holding("job", lock.value()), 3U);
  EXPECT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  EXPECT_GT(lock.valid_for(), 6s);
  EXPECT_FALSE(mutex.try_acquire_lock("job"));
  lock.release();
  EXPECT_TRUE(eventually(limit, [&] { return servers().keys().empty(); }));
  EXPECT_TRUE(mutex.try_acquire_lock("job"));
}

TEST_F(Quorum, IsHandedToOneThatWaits) {
  const RedisMutex mutex{servers().connection()};
  const RedisMutex other{servers().connection()};
  Lock lock = mutex.acquire_lock("job");
  std::jthread waiter{[&] {
    Lock mine = other.acquire_lock("job");
    EXPECT_TRUE(mine.owns_lock());
  }};
  std::this_thread::sleep_for(50ms);
  lock.release();
  waiter.join();
  EXPECT_TRUE(eventually(limit, [&] { return servers().keys().empty(); }));
}

}  // namespace
}  // namespace redismutex
