// fork() in a program with operations under way: none of them completes in the child, which begins its own; and the parent does not
// notice it.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"
#include "support/slow_loop.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct AsyncFork : WithServer {
  SlowLoop loop;
  const AsyncMutex mutex{connection, patient, loop.executor()};

  template <class Done>
  bool runs_until(Done done) {
    return eventually(limit, [&] {
      loop.run();
      return done();
    });
  }

  /// Whether a lock can be had, and given back.
  bool makes_a_pair(const std::string& key) {
    std::optional<AsyncLock> lock;
    mutex.acquire_lock(key).start([&](Outcome<AsyncLock> outcome) { lock = std::move(outcome).get(); });
    if (!runs_until([&] { return lock.has_value(); }) || !lock->owns_lock()) return false;
    bool is_released = false;
    lock->release().start([&](const Outcome<void>& outcome) { is_released = static_cast<bool>(outcome); });
    return runs_until([&] { return is_released; });
  }
};

TEST_F(AsyncFork, WhatIsDueCompletesInTheParentAlone) {
  int told = 0;
  std::optional<AsyncLock> lock;
  mutex.acquire_lock("parent's").start([&](Outcome<AsyncLock> outcome) {
    ++told;
    lock = std::move(outcome).get();
  });
  ASSERT_TRUE(eventually(limit, [&] { return loop.has_work(); }));
  const ChildProcess child{[&] {
    if (!makes_a_pair("child's")) return 1;
    return told == 0 ? 0 : 2;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(runs_until([&] { return told == 1; }));
  ASSERT_TRUE(lock);
  EXPECT_TRUE(lock->owns_lock());
}

// The child has nothing of what was posted, as where the loop is made anew there.
TEST_F(AsyncFork, AChildThatDropsWhatWasPostedGoesOn) {
  bool told = false;
  mutex.acquire_lock("parent's").start([&](const Outcome<AsyncLock>&) { told = true; });
  ASSERT_TRUE(eventually(limit, [&] { return loop.has_work(); }));
  const ChildProcess child{[&] {
    std::optional<AsyncLock> lock;
    mutex.acquire_lock("child's").start([&](Outcome<AsyncLock> outcome) { lock = std::move(outcome).get(); });
    // Destroys the parent's, and then what comes is its own.
    if (!eventually(limit, [&] { return server.exists("child's"); })) return 1;
    loop.drop_first();
    if (!runs_until([&] { return lock.has_value(); })) return 2;
    lock.reset();
    return eventually(limit, [&] { return !server.exists("child's"); }) && !told ? 0 : 3;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(runs_until([&] { return told; }));
}

// A thread of the library is amid the call that posts: what it is about to post is not there in the child.
TEST_F(AsyncFork, AmidAPostTheChildGoesOn) {
  std::promise<void> begun, may_go_on;
  std::atomic<bool> holds_up{false};
  const AsyncMutex slow{connection, patient, [&](Executor::Work work) {
                          if (holds_up.exchange(false)) {
                            begun.set_value();
                            may_go_on.get_future().wait_for(limit);
                          }
                          loop.post(std::move(work));
                        }};
  const auto makes_one = [&](const std::string& key) {
    bool told = false;
    slow.acquire_lock(key).start([&](const Outcome<AsyncLock>&) { told = true; });
    return runs_until([&] { return told; });
  };
  ASSERT_TRUE(makes_one("warm"));
  holds_up = true;
  bool told = false;
  slow.acquire_lock("parent's").start([&](const Outcome<AsyncLock>&) { told = true; });
  begun.get_future().wait();
  const ChildProcess child{[&] { return makes_one("child's") && !told ? 0 : 1; }};
  EXPECT_EQ(child.wait(2 * limit), exited(0));
  may_go_on.set_value();
  EXPECT_TRUE(runs_until([&] { return told; }));
  server.command({"DEL", "child's"});
}

TEST_F(AsyncFork, AnOperationOfTheParentsCanNotBeginInTheChild) {
  ASSERT_TRUE(makes_a_pair("warm"));
  Operation<AsyncLock> acquiring = mutex.acquire_lock("key");
  std::optional<AsyncLock> lock;
  mutex.acquire_lock("held").start([&](Outcome<AsyncLock> outcome) { lock = std::move(outcome).get(); });
  ASSERT_TRUE(runs_until([&] { return lock.has_value(); }));
  Operation<std::chrono::milliseconds> extending = lock->extend();
  const ChildProcess child{[&] {
    // Their numbers are those of the parent's connections, which are closed here.
    std::array<std::array<int, 2>, 8> others{};
    for (auto& pair : others) ::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data());
    const auto refuses = [](auto& operation) {
      try {
        std::move(operation).start([](const auto&) { ::_exit(9); });
      } catch (const LockCancelled&) {
        return true;
      }
      return false;
    };
    if (!refuses(acquiring) || !refuses(extending)) return 1;
    for (const auto& pair : others) {
      char byte = 0;
      for (const int end : pair) {
        if (::recv(end, &byte, 1, MSG_DONTWAIT) > 0) return 2;  // a command
      }
    }
    return 0;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
}

// Nobody in the child waits for it: also who stops it there is told nothing.
TEST_F(AsyncFork, WhatIsStoppedInTheChildCompletesInTheParentAlone) {
  auto held = RedisMutex{Connection{server.url()}, patient}.acquire_lock("key");
  std::optional<AsyncLock> lock;
  mutex.acquire_lock("other").start([&](Outcome<AsyncLock> outcome) { lock = std::move(outcome).get(); });
  ASSERT_TRUE(runs_until([&] { return lock.has_value(); }));
  std::stop_source stop;
  int told = 0;
  mutex.acquire_lock("key", stop.get_token()).start([&](const Outcome<AsyncLock>&) { ++told; });
  lock->lost(stop.get_token()).start([&](const Outcome<Loss>&) { ++told; });
  ASSERT_TRUE(eventually(limit, [&] { return server.exists("redismutex:{key}"); }));
  const ChildProcess child{[&] {
    stop.request_stop();
    if (!makes_a_pair("child's")) return 1;
    return told == 0 ? 0 : 2;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  stop.request_stop();
  EXPECT_TRUE(runs_until([&] { return told == 2; }));
}

TEST_F(AsyncFork, ALockOfTheParentsIsAnErrorInTheChild) {
  for (const bool has_loop : {true, false}) {
    const AsyncMutex either = has_loop ? mutex : AsyncMutex{connection, patient};
    std::promise<AsyncLock> taken;
    either.acquire_lock("key").start([&](Outcome<AsyncLock> outcome) { taken.set_value(std::move(outcome).get()); });
    auto future = taken.get_future();
    ASSERT_TRUE(runs_until([&] { return future.wait_for(0s) == std::future_status::ready; }));
    AsyncLock lock = future.get();
    const ChildProcess child{[&] {
      thrown<MutexUnlockError>([&] { return lock.extend(); });
      thrown<MutexUnlockError>([&] { return lock.lost(); });
      thrown<MutexUnlockError>([&] { return lock.release(); });
      return lock.owns_lock() || !lock.key().empty() ? 1 : 0;
    }};
    EXPECT_EQ(child.wait(limit), exited(0));
    EXPECT_TRUE(lock.owns_lock());
    lock = {};
    EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  }
}

// What comes behind one that forks is the parent's.
TEST_F(AsyncFork, ACompletionMayReturnInTheChild) {
  pid_t child = -1;
  int told = 0;
  std::vector<AsyncLock> locks;
  for (const auto* key : {"1", "2", "3"}) {
    mutex.acquire_lock(key).start([&](Outcome<AsyncLock> outcome) {
      locks.push_back(std::move(outcome).get());
      if (++told == 1) child = ::fork();
    });
  }
  ASSERT_TRUE(eventually(limit, [&] { return server.keys().size() == 3; }));
  std::this_thread::sleep_for(20ms);  // all have completed by then; else fewer are behind it
  loop.run();
  if (child == 0) {
    const bool goes_on = makes_a_pair("child's");
    ::_exit(told != 1 ? 1 : goes_on ? 0 : 2);
  }
  runs_until([&] { return told == 3; });
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(told, 3);
}

}  // namespace
}  // namespace redismutex::testing
