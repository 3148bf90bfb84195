// A planned failover: two servers change their roles, and every connection stays up. Whoever goes on asking the demoted one
// is refused with READONLY. So it is left, and its name, which leads to the new primary by now, is looked up anew: callers
// notice nothing.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "sentences.hpp"
#include "stopwatch.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Timeouts patient_timeouts{.connect = limit, .command = limit};

/// Two servers, of which one follows the other, and a name that leads to the primary.
class PlannedFailover : public ::testing::Test {
 protected:
  PlannedFailover() { follow(); }

  /// Returns when both have the same data and each its new role, and the name leads to the new primary. Writes that come
  /// meanwhile have to wait, and are then refused, as with FAILOVER; but Redis 6.0 can not do that: there the old primary may
  /// do what the new one never hears of.
  void fail_over() {
    primary->command({"CLIENT", "PAUSE", "60000", "WRITE"});
    ASSERT_TRUE(eventually(limit, [&] {
      return primary->info("replication")["master_repl_offset"] == replica->info("replication")["slave_repl_offset"];
    }));
    replica->command({"REPLICAOF", "NO", "ONE"});
    proxy.lead_to(*replica);
    std::swap(primary, replica);
    replica->command({"REPLICAOF", "127.0.0.1", std::to_string(primary->port())});
    replica->command({"CLIENT", "UNPAUSE"});
    follow();
  }

  Connection connect() const { return testing::connect(proxy.url(), patient_timeouts); }

  /// Whether the server is asked by somebody else than this test.
  static bool is_asked(Server& server) { return server.connected_clients() > 0; }

  std::array<Server, 2> servers{Server{one}, Server{one}};
  Server* primary = &servers[0];
  Server* replica = &servers[1];
  Proxy proxy{*primary};
  Connection connection{connect()};

 private:
  static inline const ServerOptions one{.tcp = true, .directives = {"repl-diskless-sync-delay 0"}};

  void follow() {
    replica->command({"REPLICAOF", "127.0.0.1", std::to_string(primary->port())});
    ASSERT_TRUE(eventually(limit, [&] { return replica->info("replication")["master_link_status"] == "up"; }));
  }
};

TEST_F(PlannedFailover, LocksAreTakenAtTheNewPrimary) {
  for (const Options& options : {patient, non_blocking}) {
    for (int round = 0; round < 2; ++round) {
      const RedisMutex mutex{connection, options};
      mutex.acquire_lock("key").release();
      fail_over();
      auto lock = mutex.acquire_lock("key");
      EXPECT_EQ(primary->get("key"), lock.value());
      lock.release();
    }
  }
}

TEST_F(PlannedFailover, FencedLocksAreTakenAtTheNewPrimary) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 2 * limit, .fencing = true}};
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    auto lock = mutex.acquire_lock("key");
    EXPECT_GT(lock.fencing_token().value(), last);
    last = lock.fencing_token().value();
    lock.release();
    fail_over();
  }
}

TEST_F(PlannedFailover, LocksAreExtendedAndReleasedAtTheNewPrimary) {
  const RedisMutex mutex{connection, non_blocking};
  for (int round = 0; round < 2; ++round) {
    auto extended = mutex.acquire_lock("extended");
    auto released = mutex.acquire_lock("released");
    fail_over();
    EXPECT_NO_THROW(extended.extend(1h));
    EXPECT_GT(primary->pttl("extended"), std::chrono::milliseconds{59min}.count());
    EXPECT_NO_THROW(released.release());
    EXPECT_FALSE(primary->exists("released"));
    EXPECT_NO_THROW(extended.release());
  }
}

// A release says what it finds at the new primary: a lock that did not get there is not ours any more.
TEST_F(PlannedFailover, ALockThatGotLostIsNotReleased) {
  auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  fail_over();
  primary->command({"DEL", "key"});
  thrown<MutexUnlockError>([&] {
    lock.release();
    return 0;
  });
}

TEST_F(PlannedFailover, RenewedLocksAreNotLost) {
  constexpr std::chrono::milliseconds lease = 2s;
  const RedisMutex mutex{connection, {.blocking = false, .expiry = lease, .auto_renew = true}};
  std::vector<Lock> locks;
  std::vector<std::stop_token> losses;
  for (int i = 0; i < 20; ++i) {
    locks.push_back(mutex.acquire_lock("key " + std::to_string(i)));
    losses.push_back(locks.back().lost_token());
  }
  for (int round = 0; round < 2; ++round) {
    fail_over();
    const Stopwatch watch;
    ASSERT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() >= 2 * lease.count(); }));
    for (std::size_t i = 0; i < locks.size(); ++i) {
      EXPECT_FALSE(losses[i].stop_requested());
      EXPECT_TRUE(locks[i].owns_lock());
      EXPECT_EQ(primary->get(locks[i].key()), locks[i].value());
    }
  }
}

// Those in line find their places at the new primary, where they were: the lock goes on from hand to hand in the same order.
TEST_F(PlannedFailover, WaitersKeepTheirPlaces) {
  for (int round = 0; round < 2; ++round) {
    auto held = RedisMutex{connection, patient}.acquire_lock("key");
    std::mutex mutex;
    std::vector<int> order;
    std::vector<std::future<void>> waiters;
    for (int i = 0; i < 3; ++i) {
      waiters.push_back(std::async(std::launch::async, [&, i] {
        const Connection own = connect();
        auto lock = RedisMutex{own, {.block_time = limit, .delay = 1s, .expiry = 2 * limit}}.acquire_lock("key");
        EXPECT_EQ(primary->get("key"), lock.value());
        {
          const std::lock_guard guard{mutex};
          order.push_back(i);
        }
        lock.release();
      }));
      ASSERT_TRUE(eventually(limit, [&] { return in_line(*primary, "key") == i + 1; }));
    }
    fail_over();
    ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(*primary, "key") == 3; }));
    held.release();
    for (auto& waiter : waiters) waiter.get();
    EXPECT_EQ(order, (std::vector{0, 1, 2}));
  }
}

// Many threads that share one connection, over one failover after the other. With Redis 6.0 a lock may turn out to be lost, or
// stay taken until its lease ends. Nothing else happens.
TEST_F(PlannedFailover, EightThreadsGoOn) {
  std::atomic<bool> done = false;
  std::atomic<int> turns = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const RedisMutex mutex{connection, {.block_time = 5s, .delay = 5ms, .expiry = 6s}};
      while (!done) {
        try {
          mutex.acquire_lock("own " + std::to_string(i)).release();
          mutex.acquire_lock("shared").release();
          ++turns;
        } catch (const MutexUnlockError&) {
        } catch (const BlockTimeExceedError&) {
        } catch (const Error& error) {
          ADD_FAILURE() << error.what();
        }
      }
    });
  }
  for (int round = 0; round < 6; ++round) {
    fail_over();
    const int before = turns;
    EXPECT_TRUE(eventually(limit, [&] { return turns > before + 16; }));
  }
  done = true;
}

// The log is told once, whatever number of requests is refused.
TEST_F(PlannedFailover, IsLoggedOnce) {
  const auto log = std::make_shared<Sentences>();
  ConnectionOptions options = with(patient_timeouts, parse_url(proxy.url()));
  options.log = written_to(log);
  const Connection logging{options};
  RedisMutex{logging, patient}.acquire_lock("key").release();
  fail_over();
  std::vector<std::future<void>> threads;
  for (int i = 0; i < 8; ++i) {
    threads.push_back(std::async(std::launch::async, [&, i] {
      RedisMutex{logging, patient}.acquire_lock("key " + std::to_string(i)).release();
    }));
  }
  for (auto& thread : threads) thread.get();
  const auto messages = log->about("READONLY");
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_THAT(messages[0], AllOf(HasSubstr(proxy.url()), HasSubstr("left"), HasSubstr("look up anew")));
}

// ---- nowhere else to go ---------------------------------------------------------------------------------------------

/// A server that became a replica, and whose name leads nowhere else.
struct NowhereElse : WithServer {
  static constexpr Timeouts short_timeouts{.connect = 300ms, .command = limit};

  const Connection stuck{testing::connect(server.url(), short_timeouts)};

  void demote() { server.command({"REPLICAOF", "127.0.0.1", "1"}); }

  void TearDown() override {
    server.command({"REPLICAOF", "NO", "ONE"});
    WithServer::TearDown();
  }

  /// The error of what is refused for so long, and not at once.
  template <class Action>
  void expect_read_only(std::chrono::milliseconds after, Action action) {
    const Stopwatch watch;
    const auto error = thrown<ServerError>(action);
    EXPECT_GE(watch.elapsed_ms(), after.count());
    EXPECT_EQ(error.reason(), ServerError::Reason::read_only);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(server.url()), HasSubstr("'key"), HasSubstr("READONLY")));
  }
};

TEST_F(NowhereElse, EndsWithTheRefusalAfterTheLimit) {
  const RedisMutex mutex{stuck, non_blocking};
  auto lock = mutex.acquire_lock("key");
  demote();
  expect_read_only(short_timeouts.connect, [&] { return mutex.acquire_lock("key 2"); });
  expect_read_only(700ms, [&] { return mutex.try_acquire_lock_for("key 2", 700ms); });
  expect_read_only(short_timeouts.connect, [&] {
    lock.extend();
    return 0;
  });
  expect_read_only(short_timeouts.connect, [&] {
    lock.release();
    return 0;
  });
  server.command({"REPLICAOF", "NO", "ONE"});
  server.command({"DEL", "key"});
}

TEST_F(NowhereElse, AWaitGoesOnWhenTheServerIsPromotedAgain) {
  demote();
  auto waiting = std::async(std::launch::async, [&] { return RedisMutex{stuck, patient}.acquire_lock("key").value(); });
  EXPECT_EQ(waiting.wait_for(2 * short_timeouts.connect), std::future_status::timeout) << "it waits as long as it may";
  server.command({"REPLICAOF", "NO", "ONE"});
  EXPECT_NO_THROW(waiting.get());
}

TEST_F(NowhereElse, IsDialledWithPauses) {
  demote();
  const auto before = std::stoll(server.info("stats")["total_connections_received"]);
  std::vector<std::future<void>> threads;
  for (int i = 0; i < 32; ++i) {
    threads.push_back(std::async(std::launch::async, [&, i] {
      // The last request of one of so many may be under way when its time is up.
      EXPECT_THROW(RedisMutex{stuck}.try_acquire_lock_for("key " + std::to_string(i), 1s), Error);
    }));
  }
  for (auto& thread : threads) thread.get();
  EXPECT_LT(std::stoll(server.info("stats")["total_connections_received"]) - before, 60);
}

TEST_F(NowhereElse, AStopTokenEndsThePauses) {
  demote();
  const auto cancelled_after_ms = best_ms(10, [&] {
    std::stop_source stop;
    auto waiting = std::async(std::launch::async, [&] {
      thrown<LockCancelled>([&] { return RedisMutex{stuck, patient}.acquire_lock("key", stop.get_token()); });
    });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    waiting.get();
    return watch.elapsed_ms();
  });
  EXPECT_LT(cancelled_after_ms, 40);
}

}  // namespace
}  // namespace redismutex::testing
