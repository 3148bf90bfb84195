// A replica takes over from a master, with locks held and awaited there.

#include <chrono>
#include <string>
#include <vector>

#include "cluster/with_cluster.hpp"
#include "protocol/slot.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct ClusterFailover : WithCluster {
  /// What is written at its master is at the replica as well.
  void wait_until_replicated(Server& master, const std::string& key) {
    Server& replica = cluster.replica_of(master);
    replica.command({"READONLY"});
    ASSERT_TRUE(eventually(limit, [&] { return replica.get(key) == master.get(key); }));
    ASSERT_TRUE(eventually(limit, [&] {
      return replica.info("replication").at("slave_repl_offset") == master.info("replication").at("master_repl_offset");
    }));
  }
};

// Locks stay with their holders, and those who wait for them get them in turn.
TEST_F(ClusterFailover, Planned) {
  const std::string key = keys_of_many_slots(1, "planned ").front();
  const std::string renewed_key = "renewed {" + key + "}";
  Contenders contenders{cluster.url(), key};
  const RedisMutex mutex{connection, patient};
  auto lock = mutex.acquire_lock(key);
  auto renewed = RedisMutex{connection, {.expiry = 3s, .auto_renew = true}}.acquire_lock(renewed_key);
  const auto lost = renewed.lost_token();
  const auto first = contenders.enter("first", patient);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(key) == 1; }));
  const auto second = contenders.enter("second", patient);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(key) == 2; }));

  Server& before = cluster.master_of_key(key);
  cluster.fail_over(before);
  lock.extend();
  EXPECT_NE(&cluster.master_of_key(key), &before);
  // The order is that of those who can be woken.
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(cluster.master_of_key(key), key) == 2; }));
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "first");
  first.leave();
  EXPECT_EQ(contenders.next_inside().who, "second");
  second.leave();
  EXPECT_EQ(first.process().wait(limit), exited(0));
  EXPECT_EQ(second.process().wait(limit), exited(0));
  const auto until = std::chrono::steady_clock::now() + 4s;
  ASSERT_TRUE(eventually(limit, [&] { return std::chrono::steady_clock::now() >= until; }));
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_NO_THROW(renewed.release());
}

// A try waits out the failover for as long as a connection may take, and a wait for as long as it may last.
TEST_F(ClusterFailover, OfAMasterThatIsKilled) {
  const std::vector<std::string> keys = keys_of_many_slots(3, "killed ");
  const std::string& key = keys.front();
  ConnectionOptions options = parse_url(cluster.url());
  options.connect_timeout = 15s;
  const Connection enduring{options};
  const RedisMutex mutex{enduring, {.blocking = false, .expiry = 2 * limit}};
  Contenders contenders{cluster.url(), key};
  auto lock = mutex.acquire_lock(key);
  const auto waiter = contenders.enter("waiter", patient);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(key) == 1; }));
  auto renewed = RedisMutex{enduring, {.expiry = 12s, .auto_renew = true}}.acquire_lock(keys[1]);
  auto same_server = RedisMutex{enduring, {.expiry = 12s, .auto_renew = true}}.acquire_lock("renewed {" + key + "}");
  const auto lost = renewed.lost_token();
  const auto lost_there = same_server.lost_token();

  Server& master = cluster.master_of_key(key);
  wait_until_replicated(master, key);
  wait_until_replicated(master, "renewed {" + key + "}");
  master.kill();
  mutex.acquire_lock("other {" + key + "}").release();
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "waiter");
  waiter.leave();
  EXPECT_EQ(waiter.process().wait(limit), exited(0));
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_FALSE(lost_there.stop_requested());
  same_server.extend();
  EXPECT_NO_THROW(same_server.release());
  EXPECT_NO_THROW(renewed.release());

  master.start();
  cluster.wait_until_well();
}

// One that stands still is found out by the answers that are missing.
TEST_F(ClusterFailover, OfAMasterThatStandsStill) {
  const std::string key = keys_of_many_slots(1, "still ").front();
  ConnectionOptions options = parse_url(cluster.url());
  options.command_timeout = 500ms;
  options.connect_timeout = 500ms;
  const RedisMutex mutex{Connection{options}, patient};
  auto lock = mutex.acquire_lock(key);
  Server& master = cluster.master_of_key(key);
  wait_until_replicated(master, key);
  master.pause();
  mutex.acquire_lock("other {" + key + "}").release();
  lock.extend();
  lock.release();
  master.resume();
  cluster.wait_until_well();
}

// A holder that has nothing to send hears of it all the same: a link that breaks says nothing of where the slot is then.
TEST_F(ClusterFailover, IsHeardOfByAHolderThatSendsNothing) {
  const std::string key = keys_of_many_slots(1, "silent ").front();
  const std::string kept_key = "kept {" + key + "}";
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 2 * limit}};
  auto lock = mutex.acquire_lock(key);
  auto kept = mutex.acquire_lock(kept_key);
  const auto lost = lock.lost_token();
  Server& master = cluster.master_of_key(key);
  wait_until_replicated(master, key);
  wait_until_replicated(master, kept_key);
  // It has been looked at, and there is nothing to ask any more.
  ASSERT_TRUE(eventually(limit, [&] { return master.info("stats").at("tracking_total_keys") != "0"; }));
  Server& next = cluster.replica_of(master);
  master.kill();
  ASSERT_TRUE(eventually(limit, [&] { return next.info("replication").at("role") == "master"; }));
  next.command({"SET", key, "somebody else's", "PX", "60000"});
  EXPECT_TRUE(eventually(5s, [&] { return lost.stop_requested(); }));
  EXPECT_EQ(lock.valid_for(), 0ms);
  // It was asked to confirm what is left of this one, by its own clock.
  EXPECT_TRUE(eventually(5s, [&] { return kept.valid_for() > 0ms; }));
  EXPECT_NO_THROW(kept.release());
  next.command({"DEL", key});
  EXPECT_THROW(lock.release(), MutexUnlockError);

  master.start();
  cluster.wait_until_well();
}

// The same where nobody is killed: the connection to the one that was the master is well. The next one never had the lock, or it could
// confirm that before anybody has looked.
TEST_F(ClusterFailover, ThatIsPlannedIsHeardOfByAHolderThatSendsNothing) {
  const std::string key = keys_of_many_slots(1, "planned silent ").front();
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 2 * limit}};
  auto lock = mutex.acquire_lock(key);
  Server& before = cluster.master_of_key(key);
  wait_until_replicated(before, key);
  Server& next = cluster.replica_of(before);
  next.command({"CONFIG", "SET", "replica-read-only", "no"});
  next.command({"FLUSHALL"});
  next.command({"CONFIG", "SET", "replica-read-only", "yes"});
  cluster.fail_over(before);
  EXPECT_TRUE(eventually(limit, [&] { return lock.valid_for() == 0ms; }));
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

}  // namespace
}  // namespace redismutex::testing
