// A lock counts when the replicas of its own master have received it.

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cluster/with_cluster.hpp"
#include "integration/stopwatch.hpp"
#include "integration/thrown.hpp"
#include "integration/timeouts.hpp"
#include "protocol/slot.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct ClusterReplicas : WithCluster {
  Options wanting(Replicas replicas) {
    Options options = patient;
    options.replicas = replicas;
    return options;
  }
};

TEST_F(ClusterReplicas, ALockCountsWhenTheyHaveIt) {
  for (const Replicas wanted : {Replicas{1}, Replicas::majority, Replicas::all}) {
    const RedisMutex mutex{connection, wanting(wanted)};
    for (const std::string& key : keys_of_many_slots(30, "confirmed ")) {
      auto lock = mutex.acquire_lock(key);
      Server& replica = cluster.replica_of(cluster.master_of_key(key));
      replica.command({"READONLY"});
      EXPECT_EQ(replica.get(key), lock.value());
      lock.extend();
      EXPECT_GT(lock.valid_for(), 0ms);
      lock.release();
    }
  }
}

// One that is down counts still among those that are configured; other masters have nothing to do with it.
TEST_F(ClusterReplicas, ALockThatTooFewHaveIsGivenBack) {
  const std::vector<std::string> keys = keys_of_many_slots(30, "refused ");
  Server& master = cluster.master_of_key(keys.front());
  Server& replica = cluster.replica_of(master);
  // As long as all of them answer: where the others are, for us and for the library.
  std::vector<std::string> keys_elsewhere;
  for (const std::string& key : keys) {
    if (&cluster.master_of_key(key) != &master) keys_elsewhere.push_back(key);
  }
  RedisMutex{connection, wanting(0)}.acquire_lock(keys.front()).release();
  replica.pause();
  for (const Replicas wanted : {Replicas{1}, Replicas::all}) {
    const RedisMutex mutex{connection, wanting(wanted)};
    const Stopwatch watch;
    const auto error = thrown<ServerError>([&] { return mutex.acquire_lock(keys.front()); });
    EXPECT_EQ(error.reason(), ServerError::Reason::no_replicas);
    EXPECT_THAT(error.what(), HasSubstr("0 of the 1 replicas"));
    EXPECT_LT(watch.elapsed_ms(), 4000);
    for (const std::string& key : keys_elsewhere) mutex.acquire_lock(key).release();
  }
  replica.resume();
}

// Those who wait for the replicas of one server are asked for together, in however many slots their locks are.
TEST_F(ClusterReplicas, LocksOfManySlotsShareTheirQuestions) {
  constexpr int many = 20;
  const std::vector<std::string> keys = keys_of_one_master(many, "shared ");
  Server& master = cluster.master_of_key(keys.front());
  // A replica that has stood still may need seconds on a busy machine before it follows.
  const RedisMutex mutex{connect(cluster.url(), long_timeouts), wanting(1)};
  mutex.acquire_lock(keys.front()).release();
  Server& replica = cluster.replica_of(master);
  auto before = master.command_calls();
  replica.pause();
  std::vector<std::jthread> threads;
  for (const std::string& key : keys) threads.emplace_back([&mutex, key] { mutex.acquire_lock(key).release(); });
  EXPECT_TRUE(eventually(limit, [&] {
    return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return master.exists(key); });
  }));
  replica.resume();
  threads.clear();
  auto after = master.command_calls();
  EXPECT_LE(after["wait"] - before["wait"], many / 2) << "one a slot would be more than there are locks";
  EXPECT_GE(after["evalsha"] - before["evalsha"], many);
}

// Also while its slot is on the way, where no two keys may be named together.
TEST_F(ClusterReplicas, WhileASlotMoves) {
  const std::string key = keys_of_many_slots(1, "moving ").front();
  Server& from = cluster.master_of_key(key);
  Server* to = nullptr;
  for (Server* master : cluster.masters()) {
    if (master != &from) to = master;
  }
  const RedisMutex mutex{connection, wanting(1)};
  auto held = mutex.acquire_lock(key);
  const std::string other = "other {" + key + "}";
  cluster.move_slot(protocol::slot_of(key), *to, [&] {
    held.extend();
    mutex.acquire_lock(other).release();
  });
  held.extend();
  held.release();
  cluster.move_slot(protocol::slot_of(key), from);
}

}  // namespace
}  // namespace redismutex::testing
