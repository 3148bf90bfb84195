// Locks in a cluster: each key at the server that has its slot, over one Connection.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <redismutex/inspection.hpp>
#include <redismutex/operate.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cluster/sends.hpp"
#include "cluster/with_cluster.hpp"
#include "protocol/slot.hpp"
#include "support/exclusion_witness.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct ClusterTest : WithCluster {};

TEST_F(ClusterTest, KeysOfManySlots) {
  const RedisMutex mutex{connection, patient};
  const std::vector<std::string> keys = keys_of_many_slots(60, "many ");
  std::vector<Lock> locks;
  std::set<Server*> holders;
  for (const std::string& key : keys) {
    locks.push_back(mutex.acquire_lock(key));
    Server& master = cluster.master_of_key(key);
    EXPECT_EQ(master.get(key), locks.back().value());
    holders.insert(&master);
  }
  EXPECT_THAT(holders, SizeIs(3));
  for (Lock& lock : locks) lock.extend();
  for (Lock& lock : locks) lock.release();
  for (const std::string& key : keys) EXPECT_FALSE(cluster.master_of_key(key).exists(key));
}

// One server that can be asked is enough, and one that can not is passed over.
TEST_F(ClusterTest, AnySeedLeadsThere) {
  const std::string port = std::to_string(cluster.node(4).port());
  const RedisMutex mutex{Connection{"redis+cluster://127.0.0.1:1,127.0.0.1:" + port}, patient};
  for (const std::string& key : keys_of_many_slots(3, "seed ")) mutex.acquire_lock(key).release();
  const RedisMutex other{Connection{"redis-cluster://127.0.0.1:" + port}, patient};
  for (const std::string& key : keys_of_many_slots(3, "seed ")) other.acquire_lock(key).release();
}

TEST_F(ClusterTest, NoneThatAnswersIsToldAtOnce) {
  const RedisMutex mutex{Connection{"redis+cluster://127.0.0.1:1,127.0.0.1:2"}, {.blocking = false}};
  EXPECT_THROW(mutex.acquire_lock("key"), ConnectionError);
}

// A cluster has one database.
TEST_F(ClusterTest, AnotherDatabaseIsRefused) { EXPECT_THROW(Connection{cluster.url() + "/1"}, std::invalid_argument); }

TEST_F(ClusterTest, AFencedLockHasATokenThatRises) {
  const RedisMutex mutex{connection, {.fencing = true}};
  for (const std::string& key : keys_of_many_slots(3, "fenced ")) {
    std::uint64_t before = 0;
    for (int i = 0; i < 5; ++i) {
      const auto lock = mutex.acquire_lock(key);
      EXPECT_GT(lock.fencing_token(), before);
      before = *lock.fencing_token();
    }
  }
}

// A release hands the lock over to the first of those in line, whichever server has the key.
TEST_F(ClusterTest, WaitersOfOtherProcessesAreServedInOrder) {
  for (const std::string& key : keys_of_many_slots(3, "order ")) {
    Contenders contenders{cluster.url(), key};
    auto lock = RedisMutex{connection, patient}.acquire_lock(key);
    std::vector<Contenders::Contender> waiting;
    for (const std::string name : {"first", "second", "third"}) {
      waiting.push_back(contenders.enter(name, sleepy));
      ASSERT_TRUE(eventually(limit, [&] { return in_line(key) == static_cast<long long>(waiting.size()); }));
    }
    EXPECT_EQ(in_line_and_listening(cluster.master_of_key(key), key), 3);
    lock.release();
    std::size_t next = 0;
    for (const std::string name : {"first", "second", "third"}) {
      EXPECT_EQ(contenders.next_inside().who, name);
      waiting[next++].leave();
    }
    for (const auto& each : waiting) EXPECT_EQ(each.process().wait(limit), exited(0));
  }
}

// Each channel has a name in the slot of its key, so that it moves along.
TEST_F(ClusterTest, EachSlotHasAChannelOfItsOwn) {
  const std::vector<std::string> keys = keys_of_many_slots(6, "channel ");
  const RedisMutex mutex{connection, patient};
  const Connection elsewhere{cluster.url()};
  std::vector<Lock> locks;
  std::vector<std::thread> waiters;
  for (const std::string& key : keys) {
    locks.push_back(mutex.acquire_lock(key));
    waiters.emplace_back([&elsewhere, key] { RedisMutex{elsewhere, sleepy}.acquire_lock(key).release(); });
  }
  for (const std::string& key : keys) {
    EXPECT_TRUE(eventually(limit, [&] { return in_line(key) == 1; }));
    Server& master = cluster.master_of_key(key);
    EXPECT_TRUE(eventually(limit, [&] {
      const auto channels = master.command({"PUBSUB", "SHARDCHANNELS", "redismutex:wake:*"}).elements;
      return std::any_of(channels.begin(), channels.end(), [&key](const Reply& channel) {
        return protocol::slot_of(channel.text) == protocol::slot_of(key);
      });
    }));
  }
  for (Lock& lock : locks) lock.release();
  for (std::thread& waiter : waiters) waiter.join();
}

// With threads of one process that want different keys, and the same.
TEST_F(ClusterTest, ManyThreads) {
  const std::vector<std::string> keys = keys_of_many_slots(6, "threads ");
  std::vector<std::unique_ptr<ExclusionWitness>> witnesses;
  for (std::size_t i = 0; i < keys.size(); ++i) witnesses.push_back(std::make_unique<ExclusionWitness>());
  const RedisMutex mutex{connection, patient};
  const RedisMutex other{Connection{cluster.url()}, patient};
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 30; ++turn) {
        const std::size_t which = static_cast<std::size_t>(i * 7 + turn) % keys.size();
        const auto lock = (i % 2 == 0 ? mutex : other).acquire_lock(keys[which]);
        witnesses[which]->enter();
        witnesses[which]->leave();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& witness : witnesses) EXPECT_EQ(witness->most_inside(), 1);
}

// Many locks at all servers are renewed, and none is lost.
TEST_F(ClusterTest, RenewsLocksAtAllServers) {
  constexpr auto lease = 1500ms;
  const RedisMutex mutex{connection, {.expiry = lease, .auto_renew = true}};
  std::vector<Lock> locks;
  std::vector<std::stop_token> lost;
  for (const std::string& key : keys_of_many_slots(300, "renewed ")) {
    locks.push_back(mutex.acquire_lock(key));
    lost.push_back(locks.back().lost_token());
  }
  const auto until = std::chrono::steady_clock::now() + 3 * lease;
  ASSERT_TRUE(eventually(limit, [&] { return std::chrono::steady_clock::now() >= until; }));
  for (std::size_t i = 0; i < locks.size(); ++i) {
    EXPECT_FALSE(lost[i].stop_requested());
    EXPECT_GT(locks[i].valid_for(), 0ms);
    EXPECT_NO_THROW(locks[i].release());
  }
}

// A command can only be about one slot; so there is one for each, and one write for all of them.
TEST_F(ClusterTest, LocksOfManySlotsAreRenewedInOneWrite) {
  constexpr int many = 30;
  const std::vector<std::string> keys = keys_of_one_master(many, "renewed ");
  Server& master = cluster.master_of_key(keys.front());
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 3s, .auto_renew = true}};
  std::vector<Lock> locks;
  for (const std::string& key : keys) locks.push_back(mutex.acquire_lock(key));
  long long asked = 0;  // by the test itself
  const auto renewals = [&] {
    ++asked;
    return master.command_calls()["evalsha"];
  };
  const auto are_renewed = [&] {
    asked = 0;
    const long long before = renewals();
    ASSERT_TRUE(eventually(limit, [&] { return renewals() >= before + many; }));
  };
  are_renewed();  // from now on together, because they are due at about the same time
  const long long sends = count_sends(are_renewed);
  EXPECT_LE(sends - asked, many / 3);
}

TEST_F(ClusterTest, ALossIsToldFromEachServer) {
  const RedisMutex mutex{connection, {.expiry = 30s, .auto_renew = true}};
  for (const std::string& key : keys_of_many_slots(3, "lost ")) {
    auto lock = mutex.acquire_lock(key);
    const auto lost = lock.lost_token();
    Server& master = cluster.master_of_key(key);
    // It is watched from its first visit on.
    EXPECT_TRUE(eventually(limit, [&] {
      master.command({"SET", key, "somebody else", "PX", "60000"});
      return lost.stop_requested();
    }));
    master.command({"DEL", key});
    EXPECT_THROW(lock.release(), MutexUnlockError);
  }
}

// ---- looking from outside -------------------------------------------------------------------------------------------

TEST_F(ClusterTest, Operates) {
  const std::vector<std::string> keys = keys_of_many_slots(9, "operate ");
  const RedisMutex mutex{connection, {.expiry = 30s}};
  std::vector<Lock> locks;
  for (const std::string& key : keys) locks.push_back(mutex.acquire_lock(key));
  const std::vector<Inspection> seen = inspect(connection, keys, {.deep = true});
  ASSERT_THAT(seen, SizeIs(keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(seen[i].key, keys[i]);
    EXPECT_EQ(seen[i].value, locks[i].value());
    EXPECT_TRUE(seen[i].client) << "who holds it";
  }
  // Also over a connection that knows nothing of the cluster yet.
  const Connection fresh{cluster.url()};
  std::set<std::string> found;
  const ScanProgress progress = scan(fresh, {.pattern = "operate *", .duty = 1}, [&](const Inspection& each) {
    found.insert(each.key);
    return true;
  });
  EXPECT_TRUE(progress.complete);
  EXPECT_EQ(found, std::set<std::string>(keys.begin(), keys.end()));
  EXPECT_EQ(break_lock(connection, keys[0], std::string{locks[0].value()}), Broken::broken);
  EXPECT_THROW(locks[0].release(), MutexUnlockError);
  EXPECT_EQ(server_info(connection, "cluster").at("cluster_enabled"), "1");
  EXPECT_NO_THROW(connection.ping());
}

// ---- a map of 1.5 MB --------------------------------------------------------------------------------------------------

/// How often a connection broke.
struct Breaks final : Observer {
  std::atomic<int> count{0};
  void disconnected(const Disconnected& /*event*/) noexcept override { ++count; }
};

/// Two masters, of which each has every second slot.
struct Fragmented : ::testing::Test {
  void SetUp() override {
    for (std::size_t i = 0; i < 2; ++i) {
      nodes[i]->command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
      std::vector<std::string> command{"CLUSTER", "ADDSLOTS"};
      for (std::size_t slot = i; slot < protocol::slot_count; slot += 2) command.push_back(std::to_string(slot));
      ASSERT_FALSE(nodes[i]->command(command).is_error());
    }
    nodes[0]->command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes[1]->port())});
    const auto is_well = [](const auto& node) {
      return node->command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos &&
             node->command({"CLUSTER", "INFO"}).text.find("cluster_known_nodes:2") != std::string::npos;
    };
    ASSERT_TRUE(eventually(limit, [&] { return is_well(nodes[0]) && is_well(nodes[1]); }));
  }

  static std::unique_ptr<Server> make_node() {
    return std::make_unique<Server>(ServerOptions{
        .tcp = true, .cluster = true, .directives = {"cluster-enabled yes", "cluster-node-timeout 5000"}});
  }
  std::array<std::unique_ptr<Server>, 2> nodes{make_node(), make_node()};
};

TEST_F(Fragmented, ItsMapBreaksNoConnection) {
  const auto breaks = std::make_shared<Breaks>();
  ConnectionOptions options = parse_url("redis+cluster://127.0.0.1:" + std::to_string(nodes[0]->port()));
  options.observer = breaks;
  const auto reads = [&] {
    long long calls = 0;
    for (const auto& node : nodes) calls += node->command_calls()["cluster|slots"] + node->command_calls()["cluster"];
    return calls;
  };
  const long long before = reads();
  const Connection connection{options};
  const RedisMutex mutex{connection, patient};
  {
    const auto lock = mutex.acquire_lock("key");
    ASSERT_TRUE(eventually(limit, [&] { return reads() > before; }));
    for (const std::string& key : keys_of_many_slots(20, "fragment ")) mutex.acquire_lock(key).release();
    EXPECT_THAT(cluster_masters(connection), SizeIs(2));
  }
  EXPECT_EQ(breaks->count, 0);
}

}  // namespace
}  // namespace redismutex::testing
