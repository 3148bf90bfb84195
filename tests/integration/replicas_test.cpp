// A master with replicas: what Options::replicas wants counts only when so many of them have received it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <future>
#include <memory>
#include <redismutex/observer.hpp>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "stopwatch.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "user_rights.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// For replicas that are there, however busy the machine is.
constexpr auto patience = 1500ms;

constexpr auto own_key = "redismutex:witness";

ServerOptions replicating() {
  return {.tcp = true, .directives = {"repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-timeout 3600"}};
}

class ReplicasTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (Server& replica : replicas) replica.command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
    ASSERT_TRUE(eventually(limit, [&] { return receive() == 2; }));
    master.command({"DEL", "probe"});
  }

  /// All that is left is what was written last to ask them, which goes by itself.
  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [&] { return master.keys() == std::vector<std::string>{own_key}; }))
        << ::testing::PrintToString(master.keys());
    EXPECT_GT(master.pttl(own_key), 0);
    EXPECT_LE(master.pttl(own_key), 60'000);
  }

  /// How many receive what is written now. One that the master calls online may not yet.
  long long receive() {
    master.command({"SET", "probe", ""});
    return master.command({"WAIT", "2", "100"}).integer;
  }

  /// Nobody hears of the master's writes any more.
  void freeze() {
    for (Server& replica : replicas) replica.pause();
  }
  void thaw() {
    for (Server& replica : replicas) replica.resume();
  }

  /// By its id: whose last command was WAIT.
  std::string client_that_waits() {
    std::istringstream lines{master.command({"CLIENT", "LIST"}).text};
    for (std::string line; std::getline(lines, line);) {
      if (line.find(" cmd=wait ") != std::string::npos) return line.substr(3, line.find(' ') - 3);
    }
    throw std::runtime_error{"nobody has sent WAIT"};
  }

  ServerError refused(const Options& options) {
    const RedisMutex mutex{connection, options};
    return thrown<ServerError>([&] { return mutex.acquire_lock("key"); });
  }

  Server master{replicating()};
  std::array<Server, 2> replicas{Server{replicating()}, Server{replicating()}};
  Connection connection = connect(master.url(), {.connect = patience, .command = limit});
};

Options with_replicas(Replicas replicas, Options options = patient) {
  options.replicas = replicas;
  return options;
}

TEST_F(ReplicasTest, ALockCountsWhenTheyHaveIt) {
  for (const Replicas wanted : {Replicas{1}, Replicas{2}, Replicas::majority, Replicas::all}) {
    auto lock = RedisMutex{connection, with_replicas(wanted)}.acquire_lock("key");
    for (Server& replica : replicas) {
      if (wanted == Replicas{1}) break;
      EXPECT_EQ(replica.get("key"), lock.value());
    }
    EXPECT_GT(lock.valid_for(), patient.expiry.value() / 2);
    lock.extend();
    lock.release();
  }
  EXPECT_EQ(master.connected_clients(), 2) << "one for the locks, one for the questions";
}

// ---- too few --------------------------------------------------------------------------------------------------------

TEST_F(ReplicasTest, ALockThatTooFewHaveIsGivenBack) {
  RedisMutex{connection, with_replicas(1)}.acquire_lock("key").release();
  freeze();
  for (const Options& options : {with_replicas(1), with_replicas(2), with_replicas(1, non_blocking)}) {
    const Stopwatch watch;
    const ServerError error = refused(options);
    EXPECT_EQ(error.reason(), ServerError::Reason::no_replicas);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'key'"), HasSubstr(master.socket_path()), HasSubstr("0 of the "),
                                    HasSubstr("replicas that Options::replicas wants")));
    EXPECT_GE(watch.elapsed_ms(), 1300) << "it was waited for";
    EXPECT_LT(watch.elapsed_ms(), 2500) << "and not for much longer than a connection may take";
    EXPECT_TRUE(eventually(limit, [&] { return !master.exists("key"); }));
  }
  RedisMutex{connection, patient}.acquire_lock("key").release();
  thaw();
  RedisMutex{connection, with_replicas(2)}.acquire_lock("key").release();
}

// Nobody waits for longer than it wants to.
TEST_F(ReplicasTest, TheBlockTimeHolds) {
  RedisMutex{connection, with_replicas(1)}.acquire_lock("key").release();
  freeze();
  const Stopwatch watch;
  refused({.block_time = 50ms, .delay = 5ms, .expiry = limit, .replicas = 1});
  EXPECT_LT(watch.elapsed_ms(), 500);
  thaw();
}

TEST_F(ReplicasTest, APartIsOfThoseThatAreConfigured) {
  for (const Replicas wanted : {Replicas::majority, Replicas::all}) {
    RedisMutex{connection, with_replicas(wanted)}.acquire_lock("key").release();
  }
  replicas[1].kill();
  ASSERT_TRUE(eventually(limit, [&] { return master.info("replication")["connected_slaves"] == "1"; }));
  RedisMutex{connection, with_replicas(1)}.acquire_lock("key").release();
  for (const Replicas wanted : {Replicas::majority, Replicas::all}) {
    EXPECT_THAT(refused(with_replicas(wanted)).what(), HasSubstr("of the 2 replicas"));
  }
  EXPECT_TRUE(eventually(limit, [&] { return !master.exists("key"); }));
}

TEST(ReplicasOfNone, APartOfThemIsNoPass) {
  Server server;
  const Connection connection{server.url()};
  for (const Replicas wanted : {Replicas::majority, Replicas::all}) {
    const auto error = thrown<ServerError>([&] {
      return RedisMutex{connection, with_replicas(wanted)}.acquire_lock("key");
    });
    EXPECT_EQ(error.reason(), ServerError::Reason::no_replicas);
    EXPECT_THAT(error.what(), HasSubstr("it has none"));
  }
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
}

// Off: nobody asks, and there is no second connection.
TEST(ReplicasOfNone, WhoDoesNotAskPaysNothing) {
  Server server;
  const Connection connection{server.url()};
  const RedisMutex mutex{connection, {.block_time = limit, .expiry = 2 * limit, .auto_renew = true}};
  {
    auto lock = mutex.acquire_lock("key");
    lock.extend();
  }
  EXPECT_EQ(server.connected_clients(), 1);
  const auto calls = server.command_calls();
  EXPECT_FALSE(calls.contains("wait"));
  EXPECT_TRUE(server.keys().empty());
}

// ---- leases ---------------------------------------------------------------------------------------------------------

TEST_F(ReplicasTest, AnExtensionThatTooFewHaveChangesNothing) {
  const RedisMutex mutex{connection, with_replicas(1)};
  auto lock = mutex.acquire_lock("key");
  freeze();
  const auto before = lock.valid_for();
  const auto error = thrown<ServerError>([&] {
    lock.extend(10 * limit);
    return 0;
  });
  EXPECT_EQ(error.reason(), ServerError::Reason::no_replicas);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("extend"), HasSubstr("'key'")));
  EXPECT_LE(lock.valid_for(), before);
  EXPECT_GT(lock.valid_for(), before - limit);
  thaw();
  lock.extend(10 * limit);
  EXPECT_GT(lock.valid_for(), 9 * limit);
  lock.release();
}

// The server that confirms it may be another one by then, which has the lock as it was before.
TEST_F(ReplicasTest, AnExtensionThatIsNotThereAnyMoreDoesNotCount) {
  const RedisMutex mutex{connection, with_replicas(1)};
  auto lock = mutex.acquire_lock("key");
  freeze();
  auto error = std::async(std::launch::async, [&] {
    return thrown<ServerError>([&] {
      lock.extend(10 * limit);
      return 0;
    });
  });
  EXPECT_TRUE(eventually(limit, [&] { return master.pttl("key") > 9 * limit.count(); }));
  master.command({"PEXPIRE", "key", std::to_string(limit.count())});
  const auto looked = master.command_calls()["evalsha"];
  EXPECT_TRUE(eventually(limit, [&] { return master.command_calls()["evalsha"] > looked; }));
  thaw();
  EXPECT_EQ(error.get().reason(), ServerError::Reason::no_replicas);
  EXPECT_LE(lock.valid_for(), patient.expiry.value());
  lock.extend(10 * limit);
  lock.release();
}

// The server renews it; what the replicas have of it ends all the same.
TEST_F(ReplicasTest, ARenewalThatTooFewHaveProlongsNothing) {
  const RedisMutex mutex{connection, {.block_time = limit, .expiry = 6s, .auto_renew = true, .replicas = 1}};
  auto lock = mutex.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  std::this_thread::sleep_for(4s);
  EXPECT_FALSE(lost.stop_requested()) << "they have each renewal";
  freeze();
  const Stopwatch watch;
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_LT(watch.elapsed_ms(), 6500);
  EXPECT_EQ(lock.valid_for(), 0ms);
  thaw();
  thrown<MutexUnlockError>([&] { lock.release(); });
}

TEST_F(ReplicasTest, ARenewalIsTriedAgainUntilTheyHaveIt) {
  const RedisMutex mutex{connection, {.block_time = limit, .expiry = 6s, .auto_renew = true, .replicas = 1}};
  auto lock = mutex.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  freeze();
  EXPECT_TRUE(eventually(limit, [&] { return lock.valid_for() < 3s; })) << "nothing prolongs it";
  thaw();
  EXPECT_TRUE(eventually(limit, [&] { return lock.valid_for() > 4500ms; }));
  EXPECT_FALSE(lost.stop_requested());
  lock.release();
}

// ---- others ---------------------------------------------------------------------------------------------------------

// Whichever way a lock comes, by the server or within the process, it counts only when they have it.
TEST_F(ReplicasTest, ALockThatIsHandedOverCountsWhenTheyHaveIt) {
  for (const int local_handoffs : {0, 16}) {
    Options options = with_replicas(2);
    options.local_handoffs = local_handoffs;
    const RedisMutex mutex{connection, options};
    std::atomic<int> inside{0}, most{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int turn = 0; turn < 25; ++turn) {
          auto lock = mutex.acquire_lock("key");
          most = std::max(most.load(), ++inside);
          EXPECT_GT(lock.valid_for(), 0ms);
          --inside;
          lock.release();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(most, 1);
  }
}

TEST_F(ReplicasTest, ManyShareTheirQuestions) {
  constexpr int count = 64;
  constexpr int rounds = 20;
  const RedisMutex mutex{connection, with_replicas(1)};
  mutex.acquire_lock("key").release();
  master.command({"CONFIG", "RESETSTAT"});
  std::barrier together{count};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, key = "key " + std::to_string(i)] {
      for (int round = 0; round < rounds; ++round) {
        together.arrive_and_wait();
        mutex.acquire_lock(key).release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto calls = master.command_calls();
  EXPECT_EQ(calls.at("set"), count * rounds) << "and the one of our own is there already";
  EXPECT_LE(calls.at("wait"), count * rounds / 4);
  RecordProperty("WAITs a round", std::to_string(static_cast<double>(calls.at("wait")) / rounds));
}

TEST_F(ReplicasTest, AUserWithoutTheRightIsToldAtOnce) {
  add_user(master, "locker", "~* " + std::string{lock_rights});
  ConnectionOptions options = parse_url(master.url());
  options.username = "locker";
  options.password = "secret";
  const Connection theirs{options};
  RedisMutex{theirs, patient}.acquire_lock("key").release();
  const Stopwatch watch;
  const auto error = thrown<ServerError>([&] { return RedisMutex{theirs, with_replicas(1)}.acquire_lock("key"); });
  EXPECT_EQ(error.reason(), ServerError::Reason::no_permission);
  EXPECT_THAT(error.what(), HasSubstr("wait"));
  EXPECT_LT(watch.elapsed_ms(), limit.count() / 4);
  add_user(master, "locker", "+wait");
  RedisMutex{theirs, with_replicas(1)}.acquire_lock("key").release();
}

// The second connection breaks without the first: it is made again.
TEST_F(ReplicasTest, TheSecondConnectionHeals) {
  const RedisMutex mutex{connection, with_replicas(1)};
  mutex.acquire_lock("key").release();
  for (int i = 0; i < 3; ++i) {
    master.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    auto lock = mutex.acquire_lock("key");
    EXPECT_GT(lock.valid_for(), 0ms);
    lock.release();
  }
}

// That others of the process wait has the lease extended first. If only the second connection is away the lock is given back all the same.
TEST_F(ReplicasTest, ALockIsReleasedWithoutTheSecondConnection) {
  struct Waiting final : Observer {
    void wait_began(const WaitBegan& /*event*/) noexcept override { began.set_value(); }
    std::promise<void> began;
  };
  const auto waiting = std::make_shared<Waiting>();
  Proxy proxy{master};
  ConnectionOptions options = parse_url(proxy.url());
  options.connect_timeout = patience;
  options.command_timeout = limit;
  options.observer = waiting;
  const RedisMutex mutex{Connection{options}, with_replicas(1)};
  Lock lock = mutex.acquire_lock("key");
  const std::string id = lock.value();
  std::jthread waiter{[&] {
    try {
      const Lock next = mutex.acquire_lock("key");
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): nobody confirms that it has it
    }
  }};
  ASSERT_EQ(waiting->began.get_future().wait_for(limit), std::future_status::ready);
  proxy.refuse();
  master.command({"CLIENT", "KILL", "ID", client_that_waits()});
  lock.release();
  EXPECT_NE(master.get("key"), id);
  proxy.pass();
}

}  // namespace
}  // namespace redismutex::testing
