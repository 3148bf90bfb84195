// Lock: it frees only what is its own, says when it can no longer be relied on, and never before it must.

#include <atomic>
#include <optional>
#include <thread>
#include <type_traits>

#include "stopwatch.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

static_assert(std::is_nothrow_move_constructible_v<Lock> && std::is_nothrow_move_assignable_v<Lock>);
static_assert(!std::is_copy_constructible_v<Lock> && !std::is_copy_assignable_v<Lock>);
static_assert(std::is_nothrow_destructible_v<Lock>);
static_assert(!std::is_convertible_v<Lock, bool> && std::is_constructible_v<bool, Lock>);

struct LockTest : WithServer {
  const RedisMutex mutex{connection, non_blocking};

  /// A lock whose lease is `expiry`. On a busy machine the answer may come after a short one: then once more.
  Lock acquire(std::chrono::milliseconds expiry) {
    const RedisMutex brief{connection, {.blocking = false, .expiry = expiry}};
    std::optional<Lock> lock;
    const bool acquired = eventually(limit, [&] { return (lock = brief.try_acquire_lock("key")).has_value(); });
    if (!acquired) throw std::runtime_error("the lock is never to be had");
    return std::move(*lock);
  }

  void wait_until_expired() {
    ASSERT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  }

  /// The lock is lost, and another has taken it.
  void replace_owner() { server.command({"SET", "key", "other", "PX", "60000"}); }

  void expect_other_is_untouched() {
    EXPECT_EQ(server.get("key"), "other");
    EXPECT_GT(server.pttl("key"), 60000 - limit.count());
    server.command({"DEL", "key"});
  }

  static void expect_empty(const Lock& lock) {
    EXPECT_EQ(lock.key(), "");
    EXPECT_EQ(lock.value(), "");
    EXPECT_FALSE(lock.owns_lock());
    EXPECT_FALSE(static_cast<bool>(lock));
    EXPECT_EQ(lock.valid_for(), 0ms);
    EXPECT_FALSE(lock.lost_token().stop_possible());
  }
};

// ---- releasing ------------------------------------------------------------------------------------------------------

TEST_F(LockTest, ReleaseFreesTheKeyAndEmptiesTheLock) {
  auto lock = mutex.acquire_lock("key");
  lock.release();
  EXPECT_FALSE(server.exists("key"));
  expect_empty(lock);
}

TEST_F(LockTest, ReleaseTwiceIsAnError) {
  auto lock = mutex.acquire_lock("key");
  lock.release();
  replace_owner();
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_other_is_untouched();
}

TEST_F(LockTest, ReleaseNeverFreesAnothersLock) {
  auto lock = mutex.acquire_lock("key");
  replace_owner();
  const auto error = thrown<MutexUnlockError>([&] { lock.release(); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("key"), HasSubstr(server.socket_path())));
  expect_empty(lock);
  expect_other_is_untouched();
}

TEST_F(LockTest, ReleaseAfterExpiryIsAnError) {
  auto lock = acquire(20ms);
  wait_until_expired();
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_EQ(lock.key(), "key");
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_empty(lock);
}

TEST_F(LockTest, ReleaseAfterDeletionIsAnError) {
  auto lock = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_empty(lock);
}

// The same key, the same program, the same thread: only the acquisition counts.
TEST_F(LockTest, ReleaseNeverFreesALaterLockOfItsOwnThread) {
  auto first = acquire(20ms);
  wait_until_expired();
  const auto second = mutex.acquire_lock("key");
  EXPECT_THROW(first.release(), MutexUnlockError);
  EXPECT_EQ(server.get("key"), second.value());
}

// The server carries the release out, and the connection breaks before its answer is through: that is a success.
TEST_F(LockTest, ReleaseWhoseAnswerIsLostSucceeds) {
  Proxy proxy(server);
  auto lock = RedisMutex{Connection{proxy.url()}, non_blocking}.acquire_lock("key");
  proxy.cut_after(Direction::replies, 0, Ending::rst);
  EXPECT_NO_THROW(lock.release());
  EXPECT_FALSE(server.exists("key"));
  EXPECT_EQ(proxy.connections(), 2);
}

// The same with acquiring: the second attempt recognises what the first one took.
TEST_F(LockTest, AcquireWhoseAnswerIsLostSucceeds) {
  Proxy proxy(server);
  const Connection faulty{proxy.url()};
  faulty.ping();
  proxy.cut_after(Direction::replies, 0, Ending::rst);
  const auto lock = RedisMutex{faulty, non_blocking}.acquire_lock("key");
  EXPECT_EQ(server.get("key"), lock.value());
  EXPECT_EQ(proxy.connections(), 2);
}

// ---- the destructor -------------------------------------------------------------------------------------------------

TEST_F(LockTest, DestructorReleasesOnExceptions) {
  const auto work = [&] {
    const auto lock = mutex.acquire_lock("key");
    throw std::runtime_error("in the middle of it");
  };
  EXPECT_THROW(work(), std::runtime_error);
  EXPECT_FALSE(server.exists("key"));
}

TEST_F(LockTest, DestructorOfALostLockIsSilent) {
  {
    const auto lock = mutex.acquire_lock("key");
    replace_owner();
  }
  expect_other_is_untouched();
}

TEST_F(LockTest, DestructorIsSilentWhenTheServerIsGone) {
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = options.command_timeout = 100ms;
  std::optional<Lock> lock = RedisMutex{Connection{options}, non_blocking}.acquire_lock("key");
  server.kill();
  const Stopwatch watch;
  lock.reset();
  EXPECT_LT(watch.elapsed_ms(), 5000);
  server.start();
}

TEST_F(LockTest, DestructorWaitsForASilentServerNoLongerThanTheTimeouts) {
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = options.command_timeout = 100ms;
  std::optional<Lock> lock = RedisMutex{Connection{options}, non_blocking}.acquire_lock("key");
  server.pause();
  const Stopwatch watch;
  lock.reset();
  EXPECT_GE(watch.elapsed_ms(), 100);
  EXPECT_LT(watch.elapsed_ms(), 5000);
  server.resume();
  server.command({"DEL", "key"});  // it may be left to expire
}

// A Lock needs nothing that was used to make it.
TEST_F(LockTest, OutlivesItsMutexAndConnection) {
  std::optional<Lock> lock = RedisMutex{Connection{server.url()}, non_blocking}.acquire_lock("key");
  lock->extend();
  EXPECT_EQ(server.get("key"), lock->value());
  lock->release();
  EXPECT_FALSE(server.exists("key"));
}

// ---- moving ---------------------------------------------------------------------------------------------------------

TEST_F(LockTest, MovingPassesTheLockOn) {
  auto first = mutex.acquire_lock("key");
  const auto value = first.value();
  auto second = std::move(first);
  expect_empty(first);  // NOLINT(bugprone-use-after-move): what is left is part of the interface
  EXPECT_EQ(second.value(), value);
  EXPECT_TRUE(second.owns_lock());
  EXPECT_EQ(server.get("key"), value);
  EXPECT_THROW(first.release(), MutexUnlockError);
  EXPECT_NO_THROW(second.release());
}

TEST_F(LockTest, AssigningOverAHeldLockReleasesIt) {
  auto first = mutex.acquire_lock("first");
  auto second = mutex.acquire_lock("second");
  first = std::move(second);
  EXPECT_EQ(first.key(), "second");
  EXPECT_EQ(server.keys(), std::vector<std::string>{"second"});
}

TEST_F(LockTest, AssigningOverALostLockIsSilent) {
  auto lost = mutex.acquire_lock("key");
  replace_owner();
  lost = mutex.acquire_lock("second");
  EXPECT_EQ(lost.key(), "second");
  expect_other_is_untouched();
}

TEST_F(LockTest, AssigningToItselfChangesNothing) {
  auto lock = mutex.acquire_lock("key");
  auto& same = lock;
  lock = std::move(same);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(server.get("key"), lock.value());
}

TEST_F(LockTest, MayBeReleasedByAnotherThread) {
  std::thread([lock = mutex.acquire_lock("key")]() mutable { lock.release(); }).join();
  EXPECT_FALSE(server.exists("key"));
}

// ---- extending ------------------------------------------------------------------------------------------------------

TEST_F(LockTest, ExtendStartsALeaseOfTheMutexesOwnLengthAnew) {
  auto lock = acquire(30s);
  const auto value = lock.value();
  server.command({"PEXPIRE", "key", "1000"});
  lock.extend();
  EXPECT_GT(server.pttl("key"), 30'000 - limit.count());
  EXPECT_LE(server.pttl("key"), 30'000);
  EXPECT_EQ(lock.value(), value);
  EXPECT_EQ(server.get("key"), value);
}

TEST_F(LockTest, ExtendTakesAnotherLength) {
  auto lock = acquire(30s);
  lock.extend(60s);
  EXPECT_GT(server.pttl("key"), 60'000 - limit.count());
  EXPECT_GT(lock.valid_for(), 60s - limit);
  lock.extend(20s);  // a shorter one too: it is a fresh lease from now
  EXPECT_LE(server.pttl("key"), 20'000);
  EXPECT_LT(lock.valid_for(), 20s);
  EXPECT_GT(lock.valid_for(), 20s - limit);
}

// Held for several times its lease, by extending in time. On a busy machine "in time" may fail, and then the lock has to
// say so; if it never says so, nobody else got in.
TEST_F(LockTest, ExtendKeepsOthersOut) {
  const bool held_all_the_time = eventually(limit, [&] {
    auto lock = acquire(150ms);
    try {
      for (const Stopwatch watch; watch.elapsed_ms() < 450;) {
        EXPECT_TRUE(!mutex.try_acquire_lock("key") || !lock.owns_lock());
        std::this_thread::sleep_for(10ms);
        lock.extend();
      }
      return true;
    } catch (const MutexUnlockError&) {
      return false;
    }
  });
  EXPECT_TRUE(held_all_the_time);
}

TEST_F(LockTest, ExtendNeverTouchesAnothersLock) {
  auto lock = mutex.acquire_lock("key");
  replace_owner();
  const auto error = thrown<MutexUnlockError>([&] { lock.extend(1s); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("key"), HasSubstr(server.socket_path())));
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_EQ(lock.valid_for(), 0ms);
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_other_is_untouched();
}

TEST_F(LockTest, ExtendNeverRevivesALock) {
  auto deleted = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_THROW(deleted.extend(), MutexUnlockError);
  EXPECT_FALSE(server.exists("key"));
  auto expired = acquire(20ms);
  wait_until_expired();
  EXPECT_THROW(expired.extend(), MutexUnlockError);
  EXPECT_FALSE(server.exists("key"));
}

// The key is still there, but the lease that was counted on is over: that time may have been anybody's.
TEST_F(LockTest, ExtendAfterTheLeaseIsAnErrorEvenIfTheKeyIsStillThere) {
  auto lock = acquire(20ms);
  server.command({"PERSIST", "key"});
  ASSERT_TRUE(eventually(limit, [&] { return !lock.owns_lock(); }));
  const bool still_there = server.exists("key");  // unless the machine was busy for 20 ms
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_EQ(server.exists("key"), still_there);
}

TEST_F(LockTest, ExtendOfAReleasedLockIsAnError) {
  auto lock = mutex.acquire_lock("key");
  lock.release();
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.extend(1s), MutexUnlockError);
  EXPECT_FALSE(server.exists("key"));
}

TEST_F(LockTest, ExtendByABadDurationIsRefusedAndChangesNothing) {
  auto lock = acquire(30s);
  for (const auto bad : {0ms, -1ms, 3ms, std::chrono::milliseconds::min(), std::chrono::milliseconds::max()}) {
    const auto error = thrown<std::invalid_argument>([&] { lock.extend(bad); });
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(bad.count())));
  }
  EXPECT_GT(lock.valid_for(), 30s - limit);
  EXPECT_GT(server.pttl("key"), 30'000 - limit.count());
}

// No answer: the old lease is what counts, no more, and no less.
TEST_F(LockTest, ExtendWithoutAnAnswerLeavesTheOldLease) {
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = options.command_timeout = 50ms;
  auto lock = RedisMutex{Connection{options}, {.blocking = false, .expiry = 30s}}.acquire_lock("key");
  server.pause();
  const auto before = lock.valid_for();
  EXPECT_THROW(lock.extend(60s), ConnectionError);
  EXPECT_LE(lock.valid_for(), before);
  EXPECT_GT(lock.valid_for(), before - limit);
  server.resume();
  server.command({"DEL", "key"});  // a release has no more time than the extension had
}

// ---- how long it can be relied on -----------------------------------------------------------------------------------

// At any moment the server grants at least what valid_for() says, however long requests or replies are under way.
TEST_F(LockTest, ValidForNeverOverEstimates) {
  Proxy proxy(server);
  const Connection slow{proxy.url()};
  slow.ping();
  const auto expect_no_more_than_granted = [&](const Lock& lock) {
    for (int i = 0; i < 20; ++i) {
      const Stopwatch watch;
      const auto claimed = lock.valid_for();
      const auto granted = server.pttl("key");
      EXPECT_LE(claimed.count(), granted + watch.elapsed_ms() + 1);  // that one is rounded down
      EXPECT_LE(lock.valid_for(), claimed);
    }
  };
  constexpr auto expiry = 10s;
  const RedisMutex own{slow, {.blocking = false, .expiry = expiry}};
  for (const auto direction : {Direction::requests, Direction::replies}) {
    proxy.delay(direction, 150ms);
    auto lock = own.acquire_lock("key");
    EXPECT_LE(lock.valid_for(), expiry - 150ms - expiry / 100 - 2ms) << "counted from before the request was sent";
    expect_no_more_than_granted(lock);
    lock.extend();
    expect_no_more_than_granted(lock);
    proxy.pass();
  }
}

// A lease that ends while its answer is under way is no lock, and is not left behind.
TEST_F(LockTest, AnswerThatComesAfterTheLeaseIsNoLock) {
  Proxy proxy(server);
  const Connection slow{proxy.url()};
  slow.ping();
  proxy.delay(Direction::replies, 120ms);
  const RedisMutex brief{slow, {.blocking = false, .expiry = 60ms}};
  EXPECT_FALSE(brief.try_acquire_lock("key"));
  EXPECT_THROW((void)brief.acquire_lock("key"), MutexLockError);
}

TEST_F(LockTest, OwnsLockExactlyAsLongAsValidForIsPositive) {
  for (int i = 0; i < 3; ++i) {
    const auto lock = acquire(50ms);
    for (bool owned = true; owned;) {
      const auto before = lock.valid_for();
      owned = lock.owns_lock();
      const auto after = lock.valid_for();
      ASSERT_LE(after, before);
      ASSERT_TRUE(owned || after == 0ms);
      ASSERT_TRUE(!owned || before > 0ms) << "it is owned, and valid for no time";
    }
    EXPECT_EQ(lock.valid_for(), 0ms);
    wait_until_expired();
  }
}

TEST_F(LockTest, HasNoFencingTokenUnlessAskedFor) {
  EXPECT_EQ(mutex.acquire_lock("key").fencing_token(), std::nullopt);
}

// ---- the news of a loss ---------------------------------------------------------------------------------------------

TEST_F(LockTest, LostTokenStopsAtTheEndOfTheLeaseAndNotBefore) {
  const auto lock = acquire(100ms);
  const auto token = lock.lost_token();
  EXPECT_TRUE(token.stop_possible());
  std::atomic<long long> left_when_stopped{-1};
  const std::stop_callback on_loss{token, [&] { left_when_stopped = lock.valid_for().count(); }};
  EXPECT_EQ(token.stop_requested(), !lock.owns_lock());
  EXPECT_TRUE(eventually(limit, [&] { return left_when_stopped != -1; }));
  EXPECT_EQ(left_when_stopped, 0);
  EXPECT_TRUE(token.stop_requested());
}

// The news is there while the key still is: whoever stops at once is outside before the next one is inside. The machine
// may be too busy for us to see it, but not every time.
TEST_F(LockTest, LostTokenStopsBeforeTheServerFreesTheKey) {
  EXPECT_TRUE(eventually(limit, [&] {
    const auto lock = acquire(400ms);  // 6 ms of them are kept back
    bool in_time = false;
    std::atomic<bool> asked = false;
    const std::stop_callback on_loss{lock.lost_token(), [&] {
                                       in_time = server.exists("key");
                                       asked = true;
                                     }};
    EXPECT_TRUE(eventually(limit, [&] { return asked.load(); }));
    return in_time;
  }));
}

TEST_F(LockTest, LostTokenStopsWhenAnExtensionIsRefused) {
  auto lock = mutex.acquire_lock("key");
  const auto token = lock.lost_token();
  replace_owner();
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_TRUE(token.stop_requested());
  expect_other_is_untouched();
}

// In the next three, a busy machine may use a short lease up before the test gets any further: then once more.

TEST_F(LockTest, LostTokenFollowsAnExtension) {
  std::optional<Lock> lock;
  std::stop_token token;
  ASSERT_TRUE(eventually(limit, [&] {
    lock.emplace(acquire(100ms));
    token = lock->lost_token();
    try {
      lock->extend(60s);
    } catch (const MutexUnlockError&) {
    }
    return !token.stop_requested();
  }));
  std::this_thread::sleep_for(100ms + quiet_time);
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(lock->owns_lock());
  lock->extend(500ms);  // which now ends long before the lease that was extended
  EXPECT_TRUE(eventually(limit / 5, [&] { return token.stop_requested(); }));
  EXPECT_FALSE(lock->owns_lock());
}

TEST_F(LockTest, LostTokenIsNotStoppedByARelease) {
  std::stop_token token;
  ASSERT_TRUE(eventually(limit, [&] {
    auto lock = acquire(100ms);
    token = lock.lost_token();
    try {
      lock.release();
    } catch (const MutexUnlockError&) {
    }
    return !token.stop_requested();
  }));
  std::this_thread::sleep_for(100ms + quiet_time);
  EXPECT_FALSE(token.stop_requested());
}

TEST_F(LockTest, LostTokenAskedForAfterTheLossIsStopped) {
  const auto lock = acquire(20ms);
  wait_until_expired();
  EXPECT_TRUE(eventually(limit, [&] { return lock.lost_token().stop_requested(); }));
}

TEST_F(LockTest, LostTokenAskedForAfterARefusedExtensionIsStopped) {
  auto lock = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_TRUE(eventually(limit, [&] { return lock.lost_token().stop_requested(); }));
}

TEST_F(LockTest, LostTokenOutlivesItsLock) {
  std::stop_token token;
  ASSERT_TRUE(eventually(limit, [&] {
    token = acquire(50ms).lost_token();
    return !token.stop_requested();
  }));
  std::this_thread::sleep_for(50ms + quiet_time);
  EXPECT_FALSE(token.stop_requested()) << "it was released";
}

// A moved lock is the same lock: its tokens stay with it.
TEST_F(LockTest, LostTokenMovesWithTheLock) {
  auto first = mutex.acquire_lock("key");
  const auto token = first.lost_token();
  auto second = std::move(first);
  EXPECT_EQ(second.lost_token(), token);
  server.command({"DEL", "key"});
  EXPECT_THROW(second.extend(), MutexUnlockError);
  EXPECT_TRUE(token.stop_requested());
}

// Many leases that end at different times, each on its own: the timers of one connection do not mix them up.
TEST_F(LockTest, LostTokensOfManyLocks) {
  std::vector<Lock> brief, lasting;
  std::vector<std::stop_token> brief_tokens, lasting_tokens;
  for (int i = 0; i < 20; ++i) {
    const auto expiry = std::chrono::milliseconds(200 + 7 * (i % 5));
    const RedisMutex brief_mutex{connection, {.blocking = false, .expiry = expiry}};
    brief.push_back(brief_mutex.acquire_lock("brief " + std::to_string(i)));
    lasting.push_back(mutex.acquire_lock("lasting " + std::to_string(i)));
    brief_tokens.push_back(brief.back().lost_token());
    lasting_tokens.push_back(lasting.back().lost_token());
  }
  for (const auto& token : brief_tokens) EXPECT_TRUE(eventually(limit, [&] { return token.stop_requested(); }));
  for (const auto& token : lasting_tokens) EXPECT_FALSE(token.stop_requested());
}

// ---- fork -----------------------------------------------------------------------------------------------------------

// What a child of fork() inherited is its parent's: it can neither rely on it nor give it back nor extend it.
TEST_F(LockTest, ForkedChildHoldsNothing) {
  std::optional<Lock> lock = acquire(60s);
  lock->extend();  // so that all scripts are loaded, and nothing is left that a child would have to load
  lock->release();
  lock = acquire(60s);
  const auto calls_before = server.command_calls();
  const auto left = server.pttl("key");
  const ChildProcess child([&] {
    if (lock->owns_lock() || lock->valid_for() != 0ms) return 1;
    try {
      lock->extend(1s);
      return 2;
    } catch (const MutexUnlockError&) {
    }
    try {
      lock->release();
      return 3;
    } catch (const MutexUnlockError&) {
    }
    return lock->owns_lock() ? 4 : 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_EQ(server.command_calls()["evalsha"], calls_before.at("evalsha")) << "the child sent something";
  EXPECT_EQ(server.get("key"), lock->value());
  EXPECT_GT(server.pttl("key"), left - limit.count());
  EXPECT_TRUE(lock->owns_lock());
  EXPECT_NO_THROW(lock->release());
}

TEST_F(LockTest, ForkedChildsDestructorSendsNothing) {
  std::optional<Lock> lock = acquire(60s);
  std::optional<Lock> assigned_over = mutex.acquire_lock("second");
  const auto token = lock->lost_token();  // with a timer running
  const ChildProcess child([&] {
    lock.reset();
    *assigned_over = std::move(*assigned_over);
    assigned_over.reset();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_EQ(server.get("key"), lock->value());
  EXPECT_EQ(server.get("second"), assigned_over->value());
  EXPECT_FALSE(server.command_calls().contains("del"));
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(lock->owns_lock());
}

// Forked while another thread is in the middle of asking the same Lock: the child is not caught by what that thread held.
TEST_F(LockTest, ForkWhileAnotherThreadAsks) {
  std::optional<Lock> lock = acquire(60s);
  std::atomic<bool> done = false;
  const std::jthread asking([&] {
    while (!done) EXPECT_FALSE(lock->lost_token().stop_requested());
  });
  for (int i = 0; i < 20; ++i) {
    const ChildProcess child([&] {
      lock.reset();
      return 0;
    });
    EXPECT_EQ(child.wait(limit / 5), exited(0));
  }
  done = true;
  EXPECT_TRUE(lock->owns_lock());
}

// In the child the lock counts as lost, so that is what its lost_token() says; whether the parent ever asked for one or
// not.
TEST_F(LockTest, ForkedChildIsToldOfTheLoss) {
  const auto watched = acquire(60s);
  const auto token = watched.lost_token();
  const auto unwatched = mutex.acquire_lock("second");
  const ChildProcess child([&] {
    const auto told = [](const Lock& lock) {
      return eventually(limit / 5, [&] { return lock.lost_token().stop_requested(); });
    };
    return (told(watched) ? 0 : 1) + (told(unwatched) ? 0 : 2);
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_FALSE(token.stop_requested());
}

}  // namespace
}  // namespace redismutex::testing
