// How a Lock ends: left to its lease, given back to a server that is away or refuses, or let go of by what is told of its loss.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/operate.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "events.hpp"
#include "sentences.hpp"
#include "stopwatch.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "user_rights.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Timeouts brief_timeouts{.connect = 200ms, .command = 200ms};

using OnLoss = std::stop_callback<std::function<void()>>;

struct LettingGo : WithServer {
  const std::shared_ptr<Sentences> log = std::make_shared<Sentences>();

  Connection logged(std::string_view url, Timeouts timeouts = {.connect = limit, .command = limit}) const {
    ConnectionOptions options = with(timeouts, parse_url(url));
    options.log = written_to(log);
    return Connection{options};
  }

  bool is_freed(const std::string& key) {
    return eventually(limit, [&] { return !server.exists(key); });
  }

  struct Refusal {
    ServerError::Reason reason;
    std::string_view code;
  };

  /// How often a user was not permitted something.
  long long times_not_permitted() {
    long long times = 0;
    for (const Reply& entry : server.command({"ACL", "LOG", "128"}).elements) times += entry.elements.at(1).integer;
    return times;
  }

  /// A release that the server refuses, by the caller's hand or by the destructor, is repeated until it is permitted.
  void expect_repeated(const Connection& refused, const std::function<void(bool)>& refuse, const Refusal& refusal) {
    for (const bool by_destructor : {false, true}) {
      log->forget();
      std::optional<Lock> lock = RedisMutex{refused, {.blocking = false, .expiry = 4 * limit}}.acquire_lock("key");
      refuse(true);
      if (by_destructor) {
        lock.reset();
      } else {
        const auto error = thrown<ServerError>([&] {
          lock->release();
          return 0;
        });
        EXPECT_EQ(error.reason(), refusal.reason);
      }
      EXPECT_THAT(log->all(),
                  Contains(AllOf(HasSubstr(std::string{refusal.code}), HasSubstr("tried again in the background"))));
      EXPECT_TRUE(server.exists("key"));
      refuse(false);
      EXPECT_TRUE(is_freed("key"));
    }
  }
};

// ---- leaving --------------------------------------------------------------------------------------------------------

// The key stays, with what is left of its lease, when the Lock, its mutex and its Connection are gone.
TEST_F(LettingGo, ALockThatIsLeftStands) {
  std::string value;
  {
    auto lock = RedisMutex{Connection{server.url()}, {.blocking = false, .expiry = 30s}}.acquire_lock("key");
    value = lock.value();
    lock.leave();
    EXPECT_EQ(lock.key(), "");
    EXPECT_EQ(lock.value(), "");
    EXPECT_FALSE(lock.owns_lock());
    EXPECT_EQ(lock.lease_ends_in(), 0ms);
    EXPECT_THROW(lock.release(), MutexUnlockError);
    lock.leave();  // once more: nothing
  }
  ASSERT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
  EXPECT_EQ(server.get("key"), value);
  EXPECT_GT(server.pttl("key"), 30'000 - limit.count());
  EXPECT_LE(server.pttl("key"), 30'000);
  EXPECT_FALSE((RedisMutex{connection, non_blocking}.try_acquire_lock("key")));
  server.command({"DEL", "key"});
}

TEST_F(LettingGo, ALockThatIsLeftOutlivesItsProcess) {
  const ChildProcess child{[&] {
    RedisMutex{Connection{server.url()}, {.blocking = false, .expiry = 30s, .auto_renew = true}}
        .acquire_lock("key")
        .leave();
    return 0;
  }};
  ASSERT_EQ(child.wait(limit), exited(0));
  EXPECT_GT(server.pttl("key"), 30'000 - limit.count());
  server.command({"DEL", "key"});
}

// Also where the process ends at once.
TEST_F(LettingGo, ALockThatIsLeftKeepsItsLabel) {
  for (const auto pause : {0ms, 0ms, 4ms, 5ms, 6ms, 50ms}) {
    const ChildProcess child{[&] {
      auto lock =
          RedisMutex{Connection{server.url()}, {.blocking = false, .expiry = 30s, .label = "new disks"}}.acquire_lock(
              "key");
      std::this_thread::sleep_for(pause);  // about when it is written anyway, and otherwise
      lock.leave();
      ::_exit(0);
      return 0;
    }};
    ASSERT_EQ(child.wait(limit), exited(0));
    const auto seen = inspect(connection, "key");
    ASSERT_TRUE(seen.label) << pause.count();
    EXPECT_EQ(seen.label->text, "new disks");
    EXPECT_TRUE(seen.label->left);
    EXPECT_GT(server.pttl("redismutex:about:{key}"), server.pttl("key"));
    server.command({"DEL", "key", "redismutex:about:{key}"});
  }
}

// One that was on its way already says something else: it does not come last.
TEST_F(LettingGo, WhatIsSaidOfALockThatIsLeftStands) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 30s, .label = "new disks"}};
  for (int i = 0; i < 300; ++i) {
    auto lock = mutex.acquire_lock("key");
    std::this_thread::sleep_for(4ms + 7us * i);  // it is written after 5 ms
    lock.leave();
    const auto seen = inspect(connection, "key");
    ASSERT_TRUE(seen.label && seen.label->left) << i;
    server.command({"DEL", "key", "redismutex:about:{key}"});
  }
}

TEST_F(LettingGo, ALockThatIsLeftStandsWithoutALabelThatIsRefused) {
  server.command({"ACL", "SETUSER", "no-labels", "on", ">p", "~key", "&*", "+@all"});
  auto lock = RedisMutex{logged("unix://no-labels:p@" + server.socket_path()),
                         {.blocking = false, .expiry = 30s, .label = "new disks"}}
                  .acquire_lock("key");
  const std::string value = lock.value();
  lock.leave();
  EXPECT_EQ(lock.key(), "");
  EXPECT_EQ(server.get("key"), value);
  EXPECT_THAT(log->all(), Contains(AllOf(HasSubstr("cannot write the label of lock 'key'"), HasSubstr("NOPERM"))));
  server.command({"DEL", "key"});
}

// A server that does not answer holds it up for no longer than a release.
TEST_F(LettingGo, ALockThatIsLeftDoesNotWaitForASilentServer) {
  {
    Proxy proxy(server);
    auto lock =
        RedisMutex{logged(proxy.url(), brief_timeouts), {.blocking = false, .expiry = 30s, .label = "new disks"}}
            .acquire_lock("key");
    proxy.freeze();
    const Stopwatch watch;
    lock.leave();
    EXPECT_LT(watch.elapsed_ms(), brief_timeouts.sum().count() + limit.count() / 2);
    EXPECT_THAT(log->all(), Contains(HasSubstr("cannot write the label of lock 'key'")));
  }
  EXPECT_TRUE(server.exists("key"));
  server.command({"DEL", "key", "redismutex:about:{key}"});
}

// One that was renewed is not renewed any more, though its Connection lives on.
TEST_F(LettingGo, ALockThatIsLeftIsNotRenewed) {
  const auto events = std::make_shared<Events>();
  const RedisMutex mutex{observed(server.url(), events), {.blocking = false, .expiry = 600ms, .auto_renew = true}};
  auto lock = mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return events->all().renewals.size() >= 2; }));
  const auto lost = lock.lost_token();
  lock.leave();
  EXPECT_TRUE(is_freed("key"));
  EXPECT_FALSE(lost.stop_requested()) << "that is no loss";
  EXPECT_THAT(events->all().losses, IsEmpty());
}

// Both a thread of the same process and another client get in when the lease ends, and not before.
TEST_F(LettingGo, TheNextGetsInAtTheEndOfTheLease) {
  constexpr auto expiry = 600ms;
  const Connection other{server.url()};
  for (const Connection& next : {connection, other}) {
    auto lock = RedisMutex{connection, {.blocking = false, .expiry = expiry}}.acquire_lock("key");
    const std::string value = lock.value();
    auto waiting = std::async(std::launch::async, [&] { return RedisMutex{next, sleepy}.acquire_lock("key"); });
    EXPECT_EQ(waiting.wait_for(100ms), std::future_status::timeout);
    lock.leave();
    while (waiting.wait_for(1ms) == std::future_status::timeout && server.get("key") == value) continue;
    EXPECT_NE(server.get("key"), value) << "it is not inside before the key is free";
    const Stopwatch watch;
    const Lock got = waiting.get();
    EXPECT_NE(got.value(), value);
    EXPECT_LT(watch.elapsed_ms(), limit.count() - 2000) << "it does not wait for its own delay";
  }
}

// ---- the end of the lease -------------------------------------------------------------------------------------------

TEST_F(LettingGo, TheEndOfTheLeaseIsNotAskedFor) {
  auto lock = RedisMutex{connection, {.blocking = false, .expiry = 30s}}.acquire_lock("key");
  const auto commands = [&] {
    long long all = 0;
    for (const auto& [name, calls] : server.command_calls()) all += name == "info" ? 0 : calls;
    return all;
  };
  const auto before = commands();
  auto left = lock.lease_ends_in();
  EXPECT_LE(left, 30s);
  EXPECT_GT(left, 30s - limit);
  for (int i = 0; i < 1000; ++i) {
    const auto now = lock.lease_ends_in();
    ASSERT_LE(now, left);
    left = now;
  }
  EXPECT_EQ(commands(), before);
  lock.extend(60s);
  EXPECT_GT(lock.lease_ends_in(), 60s - limit);
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_EQ(lock.lease_ends_in(), 0ms);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  EXPECT_EQ(lock.lease_ends_in(), 0ms);
}

TEST_F(LettingGo, ALostLockHasNoLease) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const auto lost = lock.lost_token();
  server.command({"DEL", "key"});
  ASSERT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_EQ(lock.lease_ends_in(), 0ms);
}

// ---- a release that fails -------------------------------------------------------------------------------------------

// The network is away: release() says so, and so does the log; the key is gone as soon as the network is there again, long before
// the lease ends.
TEST_F(LettingGo, AReleaseThatFindsNoServerIsRepeated) {
  Proxy proxy(server);
  const Connection cut = logged(proxy.url(), brief_timeouts);
  for (const bool by_destructor : {false, true}) {
    log->forget();
    std::optional<Lock> lock = RedisMutex{cut, {.blocking = false, .expiry = 4 * limit}}.acquire_lock("key");
    proxy.refuse();
    proxy.cut_all(Ending::rst);
    if (by_destructor) {
      lock.reset();
    } else {
      EXPECT_THROW(lock->release(), ConnectionError);
      EXPECT_EQ(lock->key(), "");
    }
    EXPECT_THAT(log->all(), Contains(AllOf(HasSubstr("key"), HasSubstr("tried again in the background"))));
    EXPECT_TRUE(server.exists("key"));
    proxy.pass();
    EXPECT_TRUE(is_freed("key"));
  }
}

TEST_F(LettingGo, AReleaseThatIsNotAnsweredIsRepeated) {
  Proxy proxy(server);
  const Connection silent = logged(proxy.url(), brief_timeouts);
  for (const bool by_destructor : {false, true}) {
    std::optional<Lock> lock = RedisMutex{silent, {.blocking = false, .expiry = 4 * limit}}.acquire_lock("key");
    proxy.swallow(Direction::requests);
    if (by_destructor) {
      lock.reset();
    } else {
      EXPECT_THROW(lock->release(), OutcomeUnknownError);
    }
    EXPECT_TRUE(server.exists("key"));
    proxy.pass();
    EXPECT_TRUE(is_freed("key"));
  }
}

// A server that refuses all writes for a while.
TEST_F(LettingGo, AReleaseThatIsRefusedIsRepeated) {
  const auto refuse_writes = [this](bool refuse) {
    server.command({"CONFIG", "SET", "min-replicas-to-write", refuse ? "1" : "0"});
  };
  expect_repeated(logged(server.url()), refuse_writes, {ServerError::Reason::no_replicas, "NOREPLICAS"});
}

// The user has lost the rights that a release needs, and is given them again.
TEST_F(LettingGo, AReleaseWithoutTheRightIsRepeated) {
  add_user(server, "worker", "~* &* +@all");
  const auto take_rights = [this](bool take) {
    if (!take) {
      const auto before = times_not_permitted();
      EXPECT_TRUE(eventually(limit, [&] { return times_not_permitted() > before; })) << "in the background, too";
    }
    const std::string sign = take ? "-" : "+";
    std::vector<std::string> command{"ACL", "SETUSER", "worker", sign + "evalsha", sign + "eval", sign + "del"};
    if (const auto deletion = deletion_of(server)) command.push_back(sign + *deletion);
    ASSERT_FALSE(server.command(command).is_error());
  };
  expect_repeated(logged("unix://worker:secret@" + server.socket_path()), take_rights,
                  {ServerError::Reason::no_permission, "NOPERM"});
}

// The first one waits for the answer; that there was none holds for the others.
TEST_F(LettingGo, ManyLocksEndOnASilentServerInTheTimeOfOne) {
  constexpr auto timeout = 300ms;
  Proxy proxy(server);
  const RedisMutex mutex{connect(proxy.url(), {.connect = timeout, .command = timeout}), non_blocking};
  const auto took = best_ms((timeout + 100ms).count(), [&] {
    std::vector<Lock> locks;
    for (int i = 0; i < 10; ++i) locks.push_back(mutex.acquire_lock("key " + std::to_string(i)));
    proxy.freeze();
    const Stopwatch watch;
    locks.clear();
    const auto elapsed = watch.elapsed_ms();
    EXPECT_GE(elapsed, timeout.count());
    proxy.pass();
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
    return elapsed;
  });
  EXPECT_LE(took, (timeout + 100ms).count());
}

// ---- what is told of a loss may let go of anything ------------------------------------------------------------------

TEST_F(LettingGo, ALossMayDestroyTheLock) {
  for (const bool renews : {false, true}) {
    std::optional<Lock> lock =
        RedisMutex{connection, {.blocking = false, .expiry = 2 * limit, .auto_renew = renews}}.acquire_lock("key");
    std::atomic<bool> done = false;
    const OnLoss on_loss{lock->lost_token(), [&] {
                           lock.reset();
                           done = true;
                         }};
    server.command({"DEL", "key"});
    EXPECT_TRUE(eventually(limit, [&] { return done.load(); }));
  }
}

TEST_F(LettingGo, ALossMayDestroyTheLastConnection) {
  std::optional<RedisMutex> mutex{std::in_place, Connection{server.url()}, non_blocking};
  std::optional<Lock> lock = mutex->acquire_lock("key");
  std::optional<Lock> other = mutex->acquire_lock("other");
  std::atomic<bool> done = false;
  const OnLoss on_loss{lock->lost_token(), [&] {
                         lock.reset();
                         other.reset();
                         mutex.reset();
                         done = true;
                       }};
  server.command({"DEL", "key"});
  EXPECT_TRUE(eventually(limit, [&] { return done.load(); }));
  EXPECT_FALSE(server.exists("other"));
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
}

// Each of two Connections is let go of by what the other one tells, too, with a mutex of the program's held.
TEST_F(LettingGo, LossesOnTwoConnectionsMayDestroyAPoolOfBoth) {
  for (int round = 0; round < 10; ++round) {
    std::mutex pool_mutex;
    std::vector<Connection> pool;
    std::vector<std::optional<Lock>> locks;
    std::vector<std::unique_ptr<OnLoss>> callbacks;
    std::atomic<int> done = 0;
    for (int i = 0; i < 2; ++i) {
      pool.emplace_back(server.url());
      locks.emplace_back(RedisMutex{pool.back(), non_blocking}.acquire_lock("key " + std::to_string(i)));
    }
    for (auto& lock : locks) {
      callbacks.push_back(std::make_unique<OnLoss>(lock->lost_token(), [&] {
        const std::lock_guard guard{pool_mutex};
        for (auto& each : locks) each.reset();
        pool.clear();
        ++done;
      }));
    }
    std::unique_lock guard{pool_mutex};
    server.command({"FLUSHALL"});
    const bool both_are_lost = eventually(limit, [&] {
      return std::all_of(locks.begin(), locks.end(), [](const auto& lock) { return !lock->owns_lock(); });
    });
    EXPECT_TRUE(both_are_lost);
    guard.unlock();
    ASSERT_TRUE(eventually(limit, [&] { return done == 2; }));
  }
}

// A hundred leases end together, each with another client that waits for the lock, and what is told of each loss takes 3 s: that delays
// no other token, all of which stop before the next one is inside. The machine may be too busy for that, but not every time.
TEST_F(LettingGo, SlowCallbacksDelayNoOtherToken) {
  constexpr int count = under_thread_sanitizer ? 10 : 100;  // it takes a millisecond or two to start a thread there
  constexpr auto callback_takes = 3s;
  const Connection others{server.url()};
  const auto late = [&] {
    const RedisMutex mutex{Connection{server.url()}, {.blocking = false, .expiry = 5s}};
    std::atomic<int> told = 0;
    std::vector<Lock> locks;
    std::vector<std::unique_ptr<OnLoss>> callbacks;
    std::vector<std::future<bool>> next_ones;
    for (int i = 0; i < count; ++i) {
      const std::string key = "key " + std::to_string(i);
      locks.push_back(mutex.acquire_lock(key));
      const std::stop_token lost = locks.back().lost_token();
      callbacks.push_back(std::make_unique<OnLoss>(lost, [&] {
        ++told;
        std::this_thread::sleep_for(callback_takes);
      }));
      next_ones.push_back(std::async(std::launch::async, [&others, key, lost] {
        const Lock inside = RedisMutex{others, patient}.acquire_lock(key);
        return lost.stop_requested();
      }));
    }
    const auto in_time = std::count_if(next_ones.begin(), next_ones.end(), [](auto& each) { return each.get(); });
    EXPECT_TRUE(eventually(limit, [&] { return told == count; }));
    return count - in_time;
  };
  auto least = late();
  for (int attempt = 1; attempt < 3 && least > 0; ++attempt) least = std::min(least, late());
  EXPECT_EQ(least, 0);
}

// extend() finds the loss, and tells of it in its own thread. The server has told nobody: this user may not ask it to.
TEST_F(LettingGo, ALossThatExtendFindsMayDestroyTheLock) {
  add_user(server, "blind", std::string{"~*"} + lock_rights);
  const RedisMutex mutex{Connection{"unix://blind:secret@" + server.socket_path()}, non_blocking};
  std::optional<Lock> lock = mutex.acquire_lock("key");
  const std::thread::id own = std::this_thread::get_id();
  std::optional<std::thread::id> told_in;
  const OnLoss on_loss{lock->lost_token(), [&] {
                         told_in = std::this_thread::get_id();
                         lock.reset();
                       }};
  // Soon after it was taken it is looked at, by a script that reads the key; and then not for long.
  ASSERT_TRUE(eventually(limit, [&] { return server.command_calls()["get"] >= 1; }));
  server.command({"DEL", "key"});
  EXPECT_THROW(lock->extend(), MutexUnlockError);
  EXPECT_EQ(told_in, own);
  EXPECT_FALSE(lock.has_value());
}

}  // namespace
}  // namespace redismutex::testing
