// Mutex: named mutexes for the standard's own locks.

#include <condition_variable>
#include <future>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>

#include "stopwatch.hpp"
#include "support/exclusion_witness.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// The requirements of Lockable and TimedLockable ([thread.req.lockable]).
template <class M>
concept Lockable = requires(M mutex) {
  { mutex.lock() } -> std::same_as<void>;
  { mutex.try_lock() } -> std::same_as<bool>;
  { mutex.unlock() } -> std::same_as<void>;
};
template <class M>
concept TimedLockable = Lockable<M> && requires(M mutex, std::chrono::duration<double, std::ratio<60>> minutes,
                                                std::chrono::system_clock::time_point time) {
  { mutex.try_lock_for(minutes) } -> std::same_as<bool>;
  { mutex.try_lock_until(time) } -> std::same_as<bool>;
};
static_assert(TimedLockable<Mutex>);
static_assert(!std::is_copy_constructible_v<Mutex> && !std::is_copy_assignable_v<Mutex>);
static_assert(noexcept(std::declval<Mutex&>().unlock()));

struct MutexTest : WithServer {
  Mutex mutex{connection, "key", patient};
  const RedisMutex others{connection, non_blocking};

  bool is_free() { return !server.exists("key"); }

  /// What `try_it` returns in a thread of its own.
  static bool in_another_thread(std::function<bool()> try_it) { return std::async(std::launch::async, try_it).get(); }
};

TEST_F(MutexTest, LocksAndUnlocks) {
  mutex.lock();
  EXPECT_FALSE(is_free());
  EXPECT_FALSE(in_another_thread([&] { return mutex.try_lock(); }));
  mutex.unlock();
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(is_free());
  mutex.unlock();
}

TEST_F(MutexTest, LockGuard) {
  {
    const std::lock_guard guard{mutex};
    EXPECT_FALSE(is_free());
  }
  EXPECT_TRUE(is_free());
}

TEST_F(MutexTest, UniqueLock) {
  std::unique_lock deferred{mutex, std::defer_lock};
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(deferred.try_lock_for(1s));
  EXPECT_FALSE(is_free());
  deferred.unlock();
  EXPECT_TRUE(is_free());
  const std::unique_lock timed{mutex, std::chrono::system_clock::now() + 1s};
  EXPECT_TRUE(timed.owns_lock());
  EXPECT_FALSE(is_free());
}

TEST_F(MutexTest, ScopedLockOfTwo) {
  Mutex second{connection, "second", patient};
  {
    const std::scoped_lock both{mutex, second};
    EXPECT_EQ(server.keys(), (std::vector<std::string>{"key", "second"}));
  }
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
}

// Threads that take the same two mutexes in opposite order would wait for each other for ever if std::lock did not give
// one back when the other is taken.
TEST_F(MutexTest, StdLockIsFreeOfDeadlocks) {
  constexpr int threads = 4, turns = 10;
  Mutex second{connection, "second", {.block_time = limit, .delay = 1ms, .expiry = 2 * limit}};
  ExclusionWitness witness;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] {
        for (int n = 0; n < turns; ++n) {
          i % 2 == 0 ? std::lock(mutex, second) : std::lock(second, mutex);
          const std::lock_guard first_guard{mutex, std::adopt_lock};
          const std::lock_guard second_guard{second, std::adopt_lock};
          witness.enter();
          witness.leave();
        }
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// One Mutex for all threads, and one for each: the key counts, not the object.
TEST_F(MutexTest, ThreadsExcludeEachOther) {
  constexpr int threads = 8, turns = 10;
  const Options eager{.block_time = limit, .delay = 1ms, .expiry = 2 * limit};
  Mutex shared{connection, "key", eager};
  ExclusionWitness witness;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] {
        Mutex own{connection, "key", eager};
        for (int n = 0; n < turns; ++n) {
          const std::lock_guard guard{i % 2 == 0 ? shared : own};
          witness.enter();
          witness.leave();
        }
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// As with any Lockable.
TEST_F(MutexTest, WorksWithConditionVariableAny) {
  std::condition_variable_any changed;
  bool ready = false;
  const std::jthread other([&] {
    const std::lock_guard guard{mutex};
    ready = true;
    changed.notify_one();
  });
  std::unique_lock lock{mutex};
  EXPECT_TRUE(changed.wait_for(lock, limit, [&] { return ready; }));
  EXPECT_TRUE(lock.owns_lock());
}

// ---- time limits ----------------------------------------------------------------------------------------------------

TEST_F(MutexTest, LockThrowsAfterTheBlockTime) {
  const auto held = others.acquire_lock("key");
  Mutex impatient{connection, "key", {.block_time = 50ms, .delay = 10ms, .expiry = 1s}};
  const auto late = best_ms(5, [&] {
    const Stopwatch watch;
    try {
      impatient.lock();
      ADD_FAILURE() << "it got in";
    } catch (const BlockTimeExceedError&) {
      EXPECT_GE(watch.elapsed_ms(), 50);
    }
    return watch.elapsed_ms() - 50;
  });
  EXPECT_LE(late, 5);
}

// A limit that has passed already means one attempt, however far in the past it lies.
TEST_F(MutexTest, TryLockForWithoutTimeMakesOneAttempt) {
  const auto attempts = [&] {
    using double_hours = std::chrono::duration<double, std::ratio<3600>>;
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    return std::vector<bool>{
        mutex.try_lock_for(0s),
        mutex.try_lock_for(-1ns),
        mutex.try_lock_for(-1h),
        mutex.try_lock_for(std::chrono::nanoseconds::min()),
        mutex.try_lock_for(std::chrono::milliseconds::min()),
        mutex.try_lock_for(std::chrono::hours::min()),
        mutex.try_lock_for(double_hours{-infinity}),
        mutex.try_lock_for(double_hours{std::numeric_limits<double>::lowest()}),
    };
  };
  std::optional<Lock> held = others.acquire_lock("key");
  const Stopwatch watch;
  EXPECT_EQ(attempts(), std::vector<bool>(8, false));
  EXPECT_LT(watch.elapsed_ms(), 1000);
  held.reset();
  auto taken = attempts();
  EXPECT_TRUE(taken.at(0));
  mutex.unlock();
  EXPECT_TRUE(is_free());
}

TEST_F(MutexTest, TryLockUntilAPastTimeMakesOneAttempt) {
  using std::chrono::steady_clock, std::chrono::system_clock;
  server.command({"SET", "key", "other", "PX", "2000"});  // so that who waits does so for 2 s at most
  EXPECT_FALSE(mutex.try_lock_until(steady_clock::now()));
  EXPECT_FALSE(mutex.try_lock_until(system_clock::now() - 1h));
  EXPECT_FALSE(mutex.try_lock_until(steady_clock::time_point{}));
  EXPECT_FALSE(mutex.try_lock_until(steady_clock::time_point::min()));
  EXPECT_FALSE(mutex.try_lock_until(system_clock::time_point::min()));
  EXPECT_EQ(server.get("key"), "other");
  mutex.unlock();
  server.command({"DEL", "key"});
}

TEST_F(MutexTest, TryLockForHonoursItsLimit) {
  const auto held = others.acquire_lock("key");
  const auto late = best_ms(5, [&] {
    const Stopwatch watch;
    EXPECT_FALSE(mutex.try_lock_for(20.5ms));
    EXPECT_GE(watch.elapsed_ms(), 20);
    return watch.elapsed_ms() - 20;
  });
  EXPECT_LE(late, 5);
  const auto late_until = best_ms(5, [&] {
    const auto deadline = std::chrono::system_clock::now() + 20ms;
    const Stopwatch watch;
    EXPECT_FALSE(mutex.try_lock_until(deadline));
    EXPECT_GE(watch.elapsed_ms(), 19);  // the clocks were read one after the other
    return watch.elapsed_ms() - 20;
  });
  EXPECT_LE(late_until, 5);
}

// Less than a millisecond is not nothing.
TEST_F(MutexTest, TryLockForWaitsForFractionsOfAMillisecond) {
  const auto held = others.acquire_lock("key");
  const auto late = best_ms(5, [&] {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(mutex.try_lock_for(300us));
    const auto elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_GE(elapsed, 300us);
    return std::chrono::floor<std::chrono::milliseconds>(elapsed).count();
  });
  EXPECT_LE(late, 5);
}

// "As long as it takes", in all the ways to say so.
TEST_F(MutexTest, TryLockForTheLongestTimes) {
  using std::chrono::steady_clock, std::chrono::system_clock;
  using double_seconds = std::chrono::duration<double>;
  const std::vector<std::function<bool()>> ways{
      [&] { return mutex.try_lock_for(std::chrono::hours::max()); },
      [&] { return mutex.try_lock_for(std::chrono::milliseconds::max()); },
      [&] { return mutex.try_lock_for(std::chrono::nanoseconds::max()); },
      [&] { return mutex.try_lock_for(double_seconds{std::numeric_limits<double>::infinity()}); },
      [&] { return mutex.try_lock_for(double_seconds{std::numeric_limits<double>::max()}); },
      [&] { return mutex.try_lock_until(steady_clock::time_point::max()); },
      [&] { return mutex.try_lock_until(system_clock::time_point::max()); },
      [&] { return mutex.try_lock_until(std::chrono::time_point<system_clock, std::chrono::seconds>::max()); },
  };
  for (std::size_t i = 0; i < ways.size(); ++i) {
    std::optional<Lock> held = others.acquire_lock("key");
    auto waiting = std::async(std::launch::async, [&] {
      const bool locked = ways[i]();
      mutex.unlock();
      return locked;
    });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << i;
    held.reset();
    EXPECT_TRUE(waiting.get()) << i;
  }
}

// ---- who unlocks ----------------------------------------------------------------------------------------------------

TEST_F(MutexTest, UnlockOfWhatNobodyHoldsIsHarmless) {
  mutex.unlock();
  mutex.lock();
  mutex.unlock();
  mutex.unlock();
  EXPECT_TRUE(is_free());
}

// As a program does that hands its work over together with the lock. With auto_renew the key would else be held for ever.
TEST_F(MutexTest, UnlockByAnotherThreadReleases) {
  Mutex renewed{connection, "key", {.auto_renew = true}};
  renewed.lock();
  std::thread([&] { renewed.unlock(); }).join();
  EXPECT_TRUE(is_free());
  renewed.unlock();
  std::thread([&] { renewed.lock(); }).join();
  EXPECT_FALSE(is_free()) << "of a thread that has ended";
  renewed.unlock();
  EXPECT_TRUE(is_free());
}

// Three threads took the lock one after the other, because the leases of the first two ended while they were inside. A
// fourth gives back for the first: that lock is lost already, and the third stays inside, whose lock is the only one.
TEST_F(MutexTest, UnlockByAnotherThreadMeansTheLockThatHasBeenHeldLongest) {
  std::promise<void> over;
  const auto until_then = over.get_future().share();
  std::vector<std::jthread> threads;  // which stay, as the id of one that has ended may be another's
  const auto lock_in_a_thread = [&] {
    std::promise<void> locked;
    threads.emplace_back([&] {
      mutex.lock();
      locked.set_value();
      until_then.wait();
    });
    locked.get_future().wait();
  };
  lock_in_a_thread();
  server.command({"DEL", "key"});
  lock_in_a_thread();
  server.command({"DEL", "key"});
  lock_in_a_thread();
  const auto value = server.get("key");
  mutex.unlock();
  EXPECT_EQ(server.get("key"), value);
  mutex.unlock();
  EXPECT_EQ(server.get("key"), value);
  mutex.unlock();
  EXPECT_TRUE(is_free());
  over.set_value();
}

// A thread that has a lock of its own gives that one back, and not the one that has been held longest.
TEST_F(MutexTest, UnlockMeansTheCallersOwnLockFirst) {
  mutex.lock();
  server.command({"DEL", "key"});
  std::jthread([&] {
    mutex.lock();
    mutex.unlock();
    EXPECT_TRUE(is_free());
  }).join();
  mutex.unlock();
}

// The lease of the first thread ends while it is inside, and a second one takes the lock: the unlock of the first does
// not free the second's.
TEST_F(MutexTest, UnlockAfterTheLeaseNeverFreesTheNextOnesLock) {
  Mutex brief{connection, "key", {.blocking = false, .expiry = 30ms}};
  brief.lock();
  ASSERT_TRUE(eventually(limit, [&] { return is_free(); }));
  std::promise<void> first_unlocked;
  std::promise<std::string> second_locked;
  std::jthread second([&] {
    Mutex& same_key = mutex;
    same_key.lock();
    second_locked.set_value(server.get("key").value());
    first_unlocked.get_future().wait();
    same_key.unlock();
  });
  const auto value = second_locked.get_future().get();
  brief.unlock();
  EXPECT_EQ(server.get("key"), value);
  first_unlocked.set_value();
  second.join();
  EXPECT_TRUE(is_free());
}

// The same with one Mutex for both, which has to know whose lock is whose.
TEST_F(MutexTest, UnlockAfterTheLeaseNeverFreesTheNextOnesLockOfTheSameMutex) {
  mutex.lock();
  server.command({"DEL", "key"});  // as if it had expired
  std::promise<void> first_unlocked;
  std::promise<std::string> second_locked;
  std::jthread second([&] {
    mutex.lock();
    second_locked.set_value(server.get("key").value());
    first_unlocked.get_future().wait();
    mutex.unlock();
  });
  const auto value = second_locked.get_future().get();
  mutex.unlock();
  EXPECT_EQ(server.get("key"), value);
  first_unlocked.set_value();
  second.join();
  EXPECT_TRUE(is_free());
}

// A thread that lost its lock and locks again, without an unlock between, holds one lock.
TEST_F(MutexTest, LockAfterTheLeaseHoldsTheNewLock) {
  mutex.lock();
  server.command({"DEL", "key"});
  mutex.lock();
  EXPECT_FALSE(is_free());
  mutex.unlock();
  EXPECT_TRUE(is_free());
}

// unlock() has nobody to tell: it neither throws nor hangs when the server is gone.
TEST_F(MutexTest, UnlockIsSilentWhenTheServerIsGone) {
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = options.command_timeout = 100ms;
  Mutex own{Connection{options}, "key", non_blocking};
  own.lock();
  server.kill();
  const Stopwatch watch;
  own.unlock();
  EXPECT_LT(watch.elapsed_ms(), 5000);
  server.start();
}

// ---- making one -----------------------------------------------------------------------------------------------------

TEST_F(MutexTest, BadArgumentsAreRefusedWhenItIsMade) {
  EXPECT_THROW((Mutex{connection, ""}), std::invalid_argument);
  EXPECT_THROW((Mutex{connection, std::string(RedisMutex::max_key_size + 1, 'x')}), std::invalid_argument);
  EXPECT_THROW((Mutex{connection, "key", {.expiry = 0s}}), std::invalid_argument);
  EXPECT_EQ(server.connected_clients(), 0);
}

}  // namespace
}  // namespace redismutex::testing
