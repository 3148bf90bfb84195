// A master, its replicas and the sentinels that watch them: whoever is given the sentinels finds the master, and after a failover the
// next one. What a lock is worth while that goes on is told truly.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "black_hole.hpp"
#include "contender.hpp"
#include "fake_server.hpp"
#include "sentences.hpp"
#include "stopwatch.hpp"
#include "support/sentinel_set.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Timeouts timeouts{.connect = limit, .command = 1s};

// Long enough for a failover.
constexpr Options long_wait{.block_time = 2 * limit, .delay = 500ms, .expiry = 3 * limit};
constexpr Options confirmed{.block_time = 2 * limit, .delay = 500ms, .expiry = 12s, .auto_renew = true, .replicas = 1};
constexpr Options renewed{.block_time = 2 * limit, .delay = 500ms, .expiry = 12s, .auto_renew = true};

/// A sentinel that names what it is told to name, in the first epoch of all.
class FakeSentinel {
 public:
  /// `port`: of the master, on 127.0.0.1.
  explicit FakeSentinel(std::function<std::string()> port)
      : server_{[this, port = std::move(port)](const std::vector<std::string>& command) -> std::optional<std::string> {
          if (command[0] == "HELLO") return "%2\r\n+mode\r\n+sentinel\r\n+version\r\n+7.0.0\r\n";
          if (command[0] != "SENTINEL") return "+OK\r\n";
          if (command[1] == "SENTINELS") return "*0\r\n";
          const std::string named = port();
          if (command[1] != "MASTER") return "*2\r\n+127.0.0.1\r\n+" + named + "\r\n";
          ++asked_;
          return "%3\r\n+ip\r\n+127.0.0.1\r\n+port\r\n+" + named + "\r\n+config-epoch\r\n+0\r\n";
        }} {}

  ServerAddress address() const {
    const ConnectionOptions options = parse_url(server_.url());
    return {options.host, options.port};
  }

  /// How often.
  int asked() const noexcept { return asked_; }

 private:
  std::atomic<int> asked_{0};
  FakeServer server_;
};

struct SentinelTest : ::testing::Test {
  SentinelSet set;
};

TEST_F(SentinelTest, LocksAreTakenAtTheMaster) {
  for (const std::string& url : {set.url(), set.url_of(1)}) {
    const RedisMutex mutex{Connection{url}, non_blocking};
    auto lock = mutex.acquire_lock("key");
    EXPECT_EQ(set.master().get("key"), lock.value());
    EXPECT_GT(lock.valid_for(), 0ms);
    lock.release();
    EXPECT_FALSE(set.master().exists("key"));
  }
}

TEST_F(SentinelTest, OneThatAnswersIsEnough) {
  set.sentinels()[0].kill();
  set.sentinels()[1].pause();
  const Stopwatch watch;
  const Connection connection = connect(set.url(), timeouts);
  RedisMutex{connection, non_blocking}.acquire_lock("key").release();
  EXPECT_LT(watch.elapsed_ms(), limit.count() / 2) << "a silent one holds nobody up";
}

// The user names one sentinel; it names the others, and is not needed any more.
TEST_F(SentinelTest, OthersAreLearnt) {
  const Connection connection = connect(set.url_of(0), timeouts);
  const RedisMutex mutex{connection, long_wait};
  mutex.acquire_lock("key").release();
  Server& former = set.master();
  set.sentinels()[0].kill();
  former.kill();
  auto lock = mutex.acquire_lock("key");
  EXPECT_EQ(set.master_after(former).get("key"), lock.value());
}

// ---- what is wrong --------------------------------------------------------------------------------------------------

TEST_F(SentinelTest, AWrongNameIsSaidAtOnce) {
  ConnectionOptions options = parse_url(set.url());
  options.master = "mymastr";
  const Connection connection{with(timeouts, options)};
  const Stopwatch watch;
  const auto error = thrown<ConnectionError>([&] { return RedisMutex{connection, patient}.acquire_lock("key"); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("mymastr"), HasSubstr("knows no server of that name"), HasSubstr("'key'")));
  EXPECT_LT(watch.elapsed_ms(), limit.count() / 2);
}

TEST_F(SentinelTest, TheKindsOfServersAreToldApart) {
  const std::string sentinel = "redis://127.0.0.1:" + std::to_string(set.sentinels()[0].port());
  const auto no_server = thrown<ConnectionError>([&] {
    return RedisMutex{connect(sentinel, timeouts), non_blocking}.acquire_lock("key");
  });
  EXPECT_THAT(no_server.what(), HasSubstr("redis+sentinel://host/mymaster"));
  const std::string server = "redis+sentinel://127.0.0.1:" + std::to_string(set.servers()[0].port()) + "/mymaster";
  const auto no_sentinel = thrown<ConnectionError>([&] {
    return RedisMutex{connect(server, timeouts), non_blocking}.acquire_lock("key");
  });
  EXPECT_THAT(no_sentinel.what(), HasSubstr("no sentinel"));
}

TEST(SentinelLogin, IsOfItsOwn) {
  // The least rights that suffice; before 7.0 there are no rights to subcommands.
  const bool knows_subcommands = Server{}.version() >= Version{7, 0, 0};
  const std::string rights = knows_subcommands ? "-@all +hello +auth +ping +sentinel|master +sentinel|sentinels "
                                                 "+sentinel|get-master-addr-by-name"
                                               : "-@all +hello +auth +ping +sentinel";
  SentinelSet set{{.sentinel_password = "sesame", .sentinel_users = {"locker on >secret " + rights}}};
  const std::string url = set.url();
  const auto error = thrown<LoginError>([&] {
    return RedisMutex{connect(url, timeouts), non_blocking}.acquire_lock("key");
  });
  EXPECT_THAT(error.what(), HasSubstr("password"));
  for (const std::string login : {"?sentinel_password=sesame", "?sentinel_username=locker&sentinel_password=secret"}) {
    RedisMutex{Connection{url + login}, non_blocking}.acquire_lock("key").release();
  }
}

// A sentinel may name a server that is not the master yet, or any more; its word is asked for again until the server agrees.
TEST_F(SentinelTest, AReplicaIsNotTakenForTheMaster) {
  const std::string replica = std::to_string(set.servers()[1].port());
  const std::string master = std::to_string(set.servers()[0].port());
  std::atomic<bool> knows_better{false};
  const FakeSentinel sentinel{[&] { return knows_better ? master : replica; }};
  const std::string url = "redis+sentinel://127.0.0.1:" + std::to_string(sentinel.address().port) + "/mymaster";
  const auto error = thrown<ConnectionError>([&] {
    return RedisMutex{connect(url, {.connect = 500ms, .command = 500ms}), non_blocking}.acquire_lock("key");
  });
  EXPECT_THAT(error.what(), AllOf(HasSubstr(replica), HasSubstr("replica")));
  const Connection connection = connect(url, timeouts);
  auto inside = std::async(std::launch::async, [&] { return RedisMutex{connection, patient}.acquire_lock("key"); });
  EXPECT_EQ(inside.wait_for(quiet_time), std::future_status::timeout);
  knows_better = true;
  EXPECT_EQ(set.servers()[0].get("key"), inside.get().value());
}

// ---- replicas -------------------------------------------------------------------------------------------------------

// What the sentinels list counts, whether it is up or not, and whenever one came to ask.
TEST_F(SentinelTest, ReplicasAreThoseThatAreListed) {
  const auto wanting = [](Replicas replicas) {
    Options options = patient;
    options.replicas = replicas;
    return options;
  };
  RedisMutex{connect(set.url(), timeouts), wanting(Replicas::all)}.acquire_lock("key").release();
  Server& master = set.master();
  Server& gone = set.servers()[&master == &set.servers()[2] ? 1 : 2];
  gone.kill();
  ASSERT_TRUE(eventually(limit, [&] { return master.info("replication")["connected_slaves"] == "1"; }));
  const Connection later = connect(set.url(), {.connect = 1s, .command = 1s});
  for (const Replicas wanted : {Replicas::majority, Replicas::all}) {
    const auto error = thrown<ServerError>([&] { return RedisMutex{later, wanting(wanted)}.acquire_lock("key"); });
    EXPECT_EQ(error.reason(), ServerError::Reason::no_replicas);
    EXPECT_THAT(error.what(), HasSubstr("of the 2 replicas"));
  }
  RedisMutex{later, wanting(1)}.acquire_lock("key").release();
}

// ---- failovers ------------------------------------------------------------------------------------------------------

/// Whoever waits for a lock that another process holds.
struct SentinelFailover : SentinelTest {
  Connection connection = connect(set.url(), timeouts);

  /// `fails`: what ends the master's reign. A lock that is renewed is held through that, and those who wait for it keep their places.
  template <class Fails>
  void hold_through(const Fails& fails) {
    Server& former = set.master();
    const RedisMutex mutex{connection, renewed};
    auto lock = mutex.acquire_lock("key");
    Server& master = set.master();
    const std::string url = set.url();
    Channel inside;
    std::vector<ChildProcess> waiters;
    for (const std::string name : {"first", "second", "third"}) {
      waiters.emplace_back([&, name] {
        const RedisMutex theirs{connect(url, timeouts), long_wait};
        auto turn = theirs.acquire_lock("key");
        inside.send(name);
        return 0;
      });
      ASSERT_TRUE(eventually(limit, [&] { return in_line(master, "key") == static_cast<long long>(waiters.size()); }));
    }
    set.until_replicated();
    fails(former);
    Server& next = set.master_after(former);
    // Renewed there: what was left of the former lease is less.
    ASSERT_TRUE(eventually(limit, [&] { return next.pttl("key") > (*renewed.expiry - 1s).count(); }));
    ASSERT_TRUE(eventually(limit, [&] { return lock.valid_for() > 0ms; }));
    EXPECT_EQ(next.get("key"), lock.value());
    EXPECT_FALSE(lock.lost_token().stop_requested());
    ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(next, "key") == 3; }));
    lock.release();
    for (const std::string name : {"first", "second", "third"}) EXPECT_EQ(inside.receive(limit), name);
    for (const ChildProcess& waiter : waiters) EXPECT_EQ(waiter.wait(limit), exited(0));
  }
};

TEST_F(SentinelFailover, OfAMasterThatDies) {
  hold_through([](Server& master) { master.kill(); });
}

TEST_F(SentinelFailover, OfAMasterThatFreezes) {
  hold_through([](Server& master) { master.pause(); });
}

// The former master goes on granting for some ten seconds, and says nothing. It is left within about a second.
TEST_F(SentinelFailover, OfAMasterThatGoesOn) {
  hold_through([this](Server&) { set.fail_over(); });
}

// The sentinels choose the replica that has the most, and that one has what any of them has confirmed.
TEST_F(SentinelFailover, ALockThatAReplicaHasIsKnownToTheNextMaster) {
  const RedisMutex mutex{connection, confirmed};
  mutex.acquire_lock("another").release();
  Server& former = set.master();
  auto lock = mutex.acquire_lock("key");
  former.kill();
  Server& next = set.master_after(former);
  EXPECT_EQ(next.get("key"), lock.value());
  EXPECT_TRUE(eventually(limit, [&] { return lock.valid_for() > 0ms; })) << "its own replica has it now";
  lock.release();
  mutex.acquire_lock("another").release();
}

// Another server is in charge, which may know nothing of a lock: so nothing is promised until it has said so.
TEST_F(SentinelFailover, ALockIsWorthNothingUntilTheNewMasterConfirmsIt) {
  auto lock = RedisMutex{connection, long_wait}.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  EXPECT_GT(lock.valid_for(), 0ms);
  set.until_replicated();
  Server& former = set.master();
  Server& next = set.fail_over();
  // As if it had never heard of the lock.
  next.command({"DEL", "key"});
  ASSERT_TRUE(eventually(limit, [&] { return lock.valid_for() == 0ms; }));
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_TRUE(former.exists("key") || former.info("replication")["role"] == "slave");
}

TEST_F(SentinelFailover, TheLeaseGoesOnWhileNobodyConfirmsIt) {
  auto lock = RedisMutex{connection, long_wait}.acquire_lock("key");
  set.until_replicated();
  Server& next = set.fail_over();
  next.pause();
  ASSERT_TRUE(eventually(limit, [&] { return lock.valid_for() == 0ms; }));
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_GT(lock.lease_ends_in(), 0ms);
  EXPECT_FALSE(lock.lost_token().stop_requested());
  next.resume();
  EXPECT_TRUE(eventually(limit, [&] { return lock.valid_for() > 0ms; }));
  lock.release();
}

// Whoever holds a lock has the sentinels asked again and again. That an idle process asks nobody is a unit test's.
TEST_F(SentinelTest, AreAskedWhileALockIsHeld) {
  const std::string master = std::to_string(set.master().port());
  const FakeSentinel sentinel{[&] { return master; }};
  ConnectionOptions options = with(timeouts, parse_url(set.url()));
  options.nodes = {sentinel.address()};
  const Connection connection{options};
  auto lock = RedisMutex{connection, long_wait}.acquire_lock("key");
  const int before = sentinel.asked();
  EXPECT_TRUE(eventually(limit, [&] { return sentinel.asked() >= before + 2; }));
}

// One that is far away is believed, too.
TEST(SlowSentinel, IsHeardOut) {
  Server former{{.tcp = true}};
  Server next{{.tcp = true}};
  std::atomic<bool> has_changed{false};
  const FakeSentinel sentinel{[&] {
    std::this_thread::sleep_for(300ms);  // twice for each time that it is asked
    return std::to_string((has_changed ? next : former).port());
  }};
  const std::string url = "redis+sentinel://127.0.0.1:" + std::to_string(sentinel.address().port) + "/mymaster";
  auto lock = RedisMutex{connect(url, timeouts), long_wait}.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  EXPECT_EQ(former.get("key"), lock.value());
  has_changed = true;
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); })) << "the other server does not know of it";
}

// Those that say nothing do not outvote those that do.
TEST(SilentSentinels, DoNotKeepTheMaster) {
  Server former{{.tcp = true}};
  Server next{{.tcp = true}};
  std::atomic<bool> has_changed{false};
  const FakeSentinel sentinel{[&] { return std::to_string((has_changed ? next : former).port()); }};
  const BlackHole silent, silent_too;
  ConnectionOptions options =
      with({.connect = 300ms, .command = 300ms}, parse_url("redis+sentinel://127.0.0.1/mymaster"));
  options.nodes = {sentinel.address(), {"127.0.0.1", silent.port()}, {"127.0.0.1", silent_too.port()}};
  auto lock = RedisMutex{Connection{options}, long_wait}.acquire_lock("key");
  const std::stop_token lost = lock.lost_token();
  EXPECT_EQ(former.get("key"), lock.value());
  has_changed = true;
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); })) << "the other server does not know of it";
}

TEST_F(SentinelTest, OneThatKnowsNoBetterChangesNothing) {
  const std::string former = std::to_string(set.master().port());
  Server& master = set.fail_over();
  const FakeSentinel sentinel{[&] { return former; }};
  const auto sentences = std::make_shared<Sentences>();
  ConnectionOptions options = with(timeouts, parse_url(set.url()));
  options.nodes.insert(options.nodes.begin(), sentinel.address());
  options.log = written_to(sentences);
  const Connection connection{options};
  auto lock = RedisMutex{connection, long_wait}.acquire_lock("key");
  EXPECT_EQ(master.get("key"), lock.value());
  const int before = sentinel.asked();
  ASSERT_TRUE(eventually(limit, [&] { return sentinel.asked() >= before + 2; }));
  EXPECT_GT(lock.valid_for(), 0ms);
  EXPECT_THAT(sentences->about("another server"), IsEmpty());
}

}  // namespace
}  // namespace redismutex::testing
