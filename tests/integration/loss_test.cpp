// Lock::lost_token(): whoever holds a lock hears of its loss, before anybody else can be inside, and at once when the server
// knows of it.

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "contender.hpp"
#include "stopwatch.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct LossTest : WithServer {};

/// Milliseconds from what is done to the key until the holder knows; the lease alone would take ages.
long long told_after_ms(Server& server, const RedisMutex& mutex, const std::vector<std::string>& deed) {
  server.command({"DEL", "key"});
  const auto lock = mutex.acquire_lock("key");
  const auto lost = lock.lost_token();
  // The server tracks the key soon after it was taken.
  if (!eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; })) return limit.count();
  const Stopwatch watch;
  server.command(deed);
  if (!eventually(limit, [&] { return lost.stop_requested(); })) return limit.count();
  const auto took = watch.elapsed_ms();
  EXPECT_FALSE(lock.owns_lock());
  return took;
}

TEST_F(LossTest, OfADeletedKeyIsToldAtOnce) {
  const RedisMutex mutex{connection, non_blocking};
  EXPECT_LE(best_ms(50, [&] { return told_after_ms(server, mutex, {"DEL", "key"}); }), 50);
  server.command({"DEL", "key"});
}

// Whoever is told can tell others why.
TEST_F(LossTest, HasItsReasonBeforeItIsTold) {
  const auto reason_when_told = [&](std::chrono::milliseconds expiry) {
    const auto lock = RedisMutex{connection, {.blocking = false, .expiry = expiry}}.acquire_lock("key");
    EXPECT_EQ(lock.loss(), std::nullopt);
    std::promise<std::optional<Loss>> reason;
    const std::stop_callback told{lock.lost_token(), [&] { reason.set_value(lock.loss()); }};
    if (expiry > limit) server.command({"DEL", "key"});
    return reason.get_future().get();
  };
  EXPECT_EQ(reason_when_told(2 * limit), Loss::gone);
  EXPECT_EQ(reason_when_told(100ms), Loss::expired);
  auto released = RedisMutex{connection, patient}.acquire_lock("key");
  released.release();
  EXPECT_EQ(released.loss(), std::nullopt);
}

TEST_F(LossTest, OfAReplacedKeyIsToldAtOnce) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 2 * limit, .auto_renew = true}};
  EXPECT_LE(best_ms(50, [&] { return told_after_ms(server, mutex, {"SET", "key", "other"}); }), 50);
  server.command({"DEL", "key"});
}

TEST_F(LossTest, OfAllKeysIsToldAtOnce) {
  const RedisMutex mutex{connection, non_blocking};
  EXPECT_LE(best_ms(50, [&] { return told_after_ms(server, mutex, {"FLUSHALL"}); }), 50);
}

// One that was handed over is extended behind its owner's back, which must not end the watch over the key.
TEST_F(LossTest, OfALockThatWasHandedOver) {
  const RedisMutex mutex{connection, patient};
  const RedisMutex other{Connection{server.url()}, patient};
  for (int i = 0; i < 20; ++i) {
    auto before = mutex.acquire_lock("key");
    auto waits = std::async(std::launch::async, [&] { return other.acquire_lock("key"); });
    ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
    before.release();
    const auto lock = waits.get();
    const auto lost = lock.lost_token();
    ASSERT_TRUE(eventually(
        limit, [&] { return server.pttl("key") > 1000 && server.info("stats")["tracking_total_keys"] != "0"; }));
    server.command({"DEL", "key"});
    EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  }
}

// The server was restarted without its data: the holder learns it when the connection is there again.
TEST_F(LossTest, OfARestartedServersKeys) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const auto lost = lock.lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; }));
  server.kill();
  server.start();
  const Stopwatch watch;
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_LT(watch.elapsed_ms(), limit.count()) << "long before the lease ends";
}

// The same after the connection was cut and is another one: the server tracks for the new one, too.
TEST_F(LossTest, IsToldOnANewConnection) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const auto lost = lock.lost_token();
  const auto tracking_clients = [&] { return server.info("clients")["tracking_clients"]; };
  ASSERT_TRUE(eventually(limit, [&] { return tracking_clients() == "1"; }));
  for (int i = 0; i < 3; ++i) {
    server.command({"CLIENT", "KILL", "TYPE", "pubsub"});
    ASSERT_TRUE(eventually(
        limit, [&] { return tracking_clients() == "1" && server.info("stats")["tracking_total_keys"] != "0"; }));
  }
  EXPECT_FALSE(lost.stop_requested());
  server.command({"DEL", "key"});
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
}

// Others' changes of a key that leave it ours are no loss.
TEST_F(LossTest, IsNotToldWhenOnlyTheLeaseWasChanged) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  const auto lost = lock.lost_token();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; }));
    server.command({"PEXPIRE", "key", "60000"});
  }
  ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; }));
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_TRUE(lock.owns_lock());
}

// Two hundred leases that nobody renews: each is told before the server itself lets go.
TEST_F(LossTest, IsToldBeforeTheServersOwnExpiry) {
  constexpr int count = 200;
  std::vector<Lock> locks;
  std::vector<std::unique_ptr<std::stop_callback<std::function<void()>>>> callbacks;
  std::atomic<int> told = 0;
  std::atomic<int> in_time = 0;
  RawClient witness(server.socket_path(), {"AUTH", "control", "any"});
  for (int i = 0; i < count; ++i) {
    const std::string key = "key " + std::to_string(i);
    // Leases of many lengths; the drift, by which we are early, is a hundredth of them and two milliseconds.
    const RedisMutex mutex{connection, {.blocking = false, .expiry = std::chrono::milliseconds(4000 + 13 * i)}};
    locks.push_back(mutex.acquire_lock(key));
    callbacks.push_back(std::make_unique<std::stop_callback<std::function<void()>>>(
        locks.back().lost_token(), [&, key, value = locks.back().value()] {
          const auto reply = witness.command({"GET", key});
          if (!reply.is_nil() && reply.text == value) ++in_time;
          ++told;
        }));
  }
  ASSERT_TRUE(eventually(limit, [&] { return told == count; }));
  EXPECT_EQ(in_time, count);
  callbacks.clear();
  locks.clear();
}

// A lost lock stays lost, whatever is done with it.
TEST_F(LossTest, IsFinal) {
  auto lock = RedisMutex{connection, {.blocking = false, .expiry = 900ms, .auto_renew = true}}.acquire_lock("key");
  const auto lost = lock.lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; }));
  server.command({"DEL", "key"});
  ASSERT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  const Stopwatch watch;
  ASSERT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 1000; }));  // renewals would have come
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_FALSE(server.exists("key")) << "nobody took it again";
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

// What is told runs in no internal lock: the callback may use the library, for this key and for others.
TEST_F(LossTest, CallbacksMayUseTheLibrary) {
  const RedisMutex mutex{connection, non_blocking};
  auto lock = mutex.acquire_lock("key");
  std::promise<bool> took_it_again;
  const std::stop_callback callback(lock.lost_token(), [&] {
    const auto other = mutex.try_acquire_lock("other");
    const auto again = mutex.try_acquire_lock("key");
    took_it_again.set_value(other && again && !lock.owns_lock());
  });
  server.command({"DEL", "key"});
  auto future = took_it_again.get_future();
  ASSERT_EQ(future.wait_for(limit), std::future_status::ready);
  EXPECT_TRUE(future.get());
}

// A callback that takes its time delays nobody's renewal, and no other Connection's news.
TEST_F(LossTest, ASlowCallbackDelaysNoOther) {
  const RedisMutex mutex{connection, non_blocking};
  const RedisMutex renewed{connection, {.blocking = false, .expiry = 300ms, .auto_renew = true}};
  const RedisMutex others{Connection{server.url()}, non_blocking};
  const auto kept = renewed.acquire_lock("kept");
  std::promise<void> entered, go_on;
  const auto slow = mutex.acquire_lock("slow");
  const std::stop_callback blocks{slow.lost_token(), [&] {
                                    entered.set_value();
                                    go_on.get_future().wait();
                                  }};
  server.command({"DEL", "slow"});
  entered.get_future().wait();
  EXPECT_LE(best_ms(50, [&] { return told_after_ms(server, others, {"DEL", "key"}); }), 50);
  const Stopwatch watch;
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 600; }));
  EXPECT_TRUE(kept.owns_lock());
  go_on.set_value();
}

// A thread that waits behind another one of the same process gets in when somebody deletes the key.
TEST_F(LossTest, LetsTheNextThreadIn) {
  const RedisMutex mutex{connection, patient};
  const auto waited = best_ms(100, [&] {
    auto lock = mutex.acquire_lock("key");
    auto next = std::async(std::launch::async, [&] { return mutex.acquire_lock("key").owns_lock(); });
    if (!eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] != "0"; })) return limit.count();
    const Stopwatch watch;
    server.command({"DEL", "key"});
    EXPECT_TRUE(next.get());
    return static_cast<std::chrono::milliseconds::rep>(watch.elapsed_ms());
  });
  EXPECT_LE(waited, 100);
}

}  // namespace
}  // namespace redismutex::testing
