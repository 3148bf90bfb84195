// Clients that know nothing of the queue act on the key while we wait for it. (That they and we keep each other out is in
// interoperation_test.cpp.) Nobody here looks by itself: what a waiter learns in time it was told.

#include <atomic>
#include <future>
#include <thread>

#include "contender.hpp"
#include "stopwatch.hpp"
#include "support/exclusion_witness.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Foreign : WithServer {
  const Connection elsewhere{server.url()};  // as another process
  const RedisMutex mutex{connection, sleepy};
  const RedisMutex other{elsewhere, sleepy};

  bool becomes(long long waiters) {
    return eventually(limit, [&] { return in_line(server, "key") == waiters; });
  }

  /// Somebody has the server tell when the key is changed.
  bool is_watched() {
    return eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; });
  }

  /// Waits for the lock; the result is when it got in.
  static std::future<Time> entry(const RedisMutex& mutex) {
    return std::async(std::launch::async, [&mutex] {
      const auto lock = mutex.acquire_lock("key");
      return Clock::now();
    });
  }
};

// ---- the key is deleted ---------------------------------------------------------------------------------------------

TEST_F(Foreign, ADeletedKeyLetsTheFirstOfTheOthersIn) {
  const auto best = best_ms(50, [&] {
    auto lock = other.acquire_lock("key");
    auto next = entry(mutex);
    EXPECT_TRUE(is_watched());
    const auto deleted_at = Clock::now();
    server.command({"DEL", "key"});
    const auto late = ms_between(deleted_at, next.get());
    EXPECT_THROW(lock.release(), MutexUnlockError);
    return late;
  });
  EXPECT_LE(best, 50);
}

// At any moment: also when the first in line has not begun to watch yet.
TEST_F(Foreign, AKeyThatIsDeletedRightAway) {
  const auto best = best_ms(50, [&] {
    auto lock = other.acquire_lock("key");
    auto next = entry(mutex);
    EXPECT_TRUE(becomes(1));
    const auto deleted_at = Clock::now();
    server.command({"DEL", "key"});
    const auto late = ms_between(deleted_at, next.get());
    EXPECT_THROW(lock.release(), MutexUnlockError);
    return late;
  });
  EXPECT_LE(best, 50);
}

// Holder and waiter are threads of one process, so that nobody is in line at the server.
TEST_F(Foreign, ADeletedKeyLetsTheNextThreadIn) {
  const auto best = best_ms(50, [&] {
    auto lock = mutex.acquire_lock("key");
    auto next = entry(mutex);
    EXPECT_TRUE(is_watched());
    const auto deleted_at = Clock::now();
    server.command({"DEL", "key"});
    const auto late = ms_between(deleted_at, next.get());
    EXPECT_THROW(lock.release(), MutexUnlockError);
    return late;
  });
  EXPECT_LE(best, 50);
}

TEST_F(Foreign, AKeyWithoutExpiryThatIsDeleted) {
  const auto best = best_ms(50, [&] {
    server.command({"SET", "key", "foreign"});
    auto next = entry(mutex);
    EXPECT_TRUE(is_watched());
    const auto deleted_at = Clock::now();
    server.command({"DEL", "key"});
    return ms_between(deleted_at, next.get());
  });
  EXPECT_LE(best, 50);
}

// The queue is gone with all the rest: who waits lines up again.
TEST_F(Foreign, AllKeysAreDeleted) {
  constexpr int waiters = 5;
  ExclusionWitness witness;
  auto lock = mutex.acquire_lock("key");
  std::vector<std::future<void>> all;
  for (int i = 0; i < waiters; ++i) {
    all.push_back(std::async(std::launch::async, [&] {
      const RedisMutex own{Connection{server.url()}, sleepy};
      const auto inside = own.acquire_lock("key");
      witness.enter();
      witness.leave();
    }));
  }
  ASSERT_TRUE(becomes(waiters));
  ASSERT_TRUE(is_watched());
  const Stopwatch watch;
  server.command({"FLUSHALL"});
  for (auto& done : all) done.get();
  EXPECT_LT(watch.elapsed_ms(), sleepy.delay->count()) << "they were told";
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

// ---- the key ends, or changes hands ---------------------------------------------------------------------------------

TEST_F(Foreign, AnExpiredLockLetsTheFirstIn) {
  const auto best = best_ms(50, [&] {
    server.command({"SET", "key", "foreign", "PX", "150"});
    const auto ends_at = Clock::now() + 150ms;
    return ms_between(ends_at, entry(mutex).get());
  });
  EXPECT_LE(best, 50);
  EXPECT_GE(best, -2) << "the server's clock is rounded";
}

// A lock that somebody else took over ends when that one's lease does, or when it is deleted.
TEST_F(Foreign, AKeyThatChangesHands) {
  const auto best = best_ms(50, [&] {
    server.command({"SET", "key", "foreign", "PX", "60000"});
    auto next = entry(mutex);
    EXPECT_TRUE(is_watched());
    server.command({"SET", "key", "another"});
    EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
    const auto deleted_at = Clock::now();
    server.command({"DEL", "key"});
    return ms_between(deleted_at, next.get());
  });
  EXPECT_LE(best, 50);
}

// The holder's lease is longer than the first in line knew: it was extended meanwhile.
TEST_F(Foreign, AnExtendedLockIsWaitedFor) {
  server.command({"SET", "key", "foreign", "PX", "200"});
  auto next = entry(mutex);
  ASSERT_TRUE(becomes(1));
  const Stopwatch watch;
  server.command({"PEXPIRE", "key", "400"});
  next.get();
  EXPECT_GE(watch.elapsed_ms(), 399);
}

// ---- their chance ---------------------------------------------------------------------------------------------------

// Who polls with SET NX gets in as soon as nobody is in line.
TEST_F(Foreign, WhoPollsGetsInWhenTheQueueIsEmpty) {
  constexpr int waiters = 3;
  auto lock = mutex.acquire_lock("key");
  std::atomic<int> served = 0;
  std::vector<std::future<void>> line;
  for (int i = 0; i < waiters; ++i) {
    line.push_back(std::async(std::launch::async, [&] {
      const RedisMutex own{Connection{server.url()}, sleepy};
      const auto inside = own.acquire_lock("key");
      ++served;
    }));
  }
  ASSERT_TRUE(becomes(waiters));
  lock.extend();  // which tells that somebody waits: so it is not released by a command that knows no line
  auto polling = std::async(std::launch::async, [&] {
    RawClient plain(server.socket_path());
    const bool in = eventually(limit, [&] {
      return !plain.command({"SET", "key", "foreign", "NX", "PX", "60000"}).is_nil();
    });
    const int before = served;
    plain.command({"DEL", "key"});
    return in ? before : -1;
  });
  lock.release();
  EXPECT_EQ(polling.get(), waiters);
  for (auto& done : line) done.get();
}

}  // namespace
}  // namespace redismutex::testing
