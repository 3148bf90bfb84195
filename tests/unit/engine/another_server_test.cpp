// What a lease is worth while another server is in charge than the one that confirmed it.

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "route/cluster.hpp"
#include "unit/engine/engine.hpp"

namespace redismutex::engine::testing {
namespace {

using namespace std::chrono_literals;

/// A server, in whose place another comes. What they keep is the same as far as it was replicated.
struct AnotherServer : ::testing::TestWithParam<bool> {
  AnotherServer() { reach("a"); }

  void reach(const std::string& peer) {
    engine.world.break_link();
    engine.world.peer = peer;
    engine.world.connect();
  }

  bool is_valid(Lease& lease) { return lease.valid_here_until(first_turn) > engine.world.now(); }

  Engine engine{nullptr, GetParam()};
};

TEST_P(AnotherServer, ConfirmsALeaseBeforeItIsWorthAnything) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  const Instant until = lease->valid_until(first_turn);
  engine.world.run_for(1s);
  reach("b");
  // Its clock counts otherwise: it would end the lease too soon.
  engine.world.server.store("job", lease->value(), 5s);
  EXPECT_FALSE(is_valid(*lease));
  EXPECT_EQ(lease->valid_until(first_turn), until) << "as it was last confirmed";
  engine.world.run_for(100ms);
  EXPECT_TRUE(is_valid(*lease));
  EXPECT_EQ(lease->valid_until(first_turn), until) << "it is not made longer";
  EXPECT_GE(engine.left(*lease), until - engine.world.now());
}

TEST_P(AnotherServer, IsNotTheSameOneReachedAgain) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  reach("a");
  EXPECT_TRUE(is_valid(*lease));
}

TEST_P(AnotherServer, MayKnowNothingOfTheLock) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  engine.world.server.remove("job");
  reach("b");
  EXPECT_FALSE(is_valid(*lease));
  engine.world.run_for(100ms);
  EXPECT_EQ(lease->valid_until(first_turn), Instant{}) << "lost";
}

TEST_P(AnotherServer, IsAskedAgainUntilItAnswers) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  reach("b");
  engine.world.server.away = true;
  engine.world.break_link();
  EXPECT_FALSE(is_valid(*lease));
  engine.world.run_for(3s);
  EXPECT_FALSE(is_valid(*lease));
  EXPECT_GT(lease->valid_until(first_turn), engine.world.now()) << "nor is it lost";
  engine.world.server.away = false;
  EXPECT_TRUE(engine.world.run_until_is([&] { return is_valid(*lease); }, 2s));
}

// It asks for no more than what is left of a lease; but the short one of a hand-over becomes the full one all the same.
TEST_P(AnotherServer, GivesTheFullLeaseThatAClaimWants) {
  const auto lease = engine.claim("job", {.expiry = 10s});
  reach("b");
  EXPECT_FALSE(is_valid(*lease));
  engine.world.run_for(3s);
  EXPECT_TRUE(is_valid(*lease));
  EXPECT_FALSE(lease->is_claim(first_turn));
  EXPECT_GT(engine.left(*lease), 6s);
}

// A lease that is passed on within the process has to be known to the server that the next holder's requests go to.
TEST_P(AnotherServer, HasNothingPassedOn) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  EXPECT_TRUE(lease->standing().is_known);
  reach("b");
  EXPECT_FALSE(lease->standing().is_known);
}

// A server that could not be asked for want of a thread is asked when there is one.
TEST_P(AnotherServer, IsAskedWhenThereIsAThread) {
  if (GetParam()) return;  // then there was one before
  const auto lease = engine.hold("job", {.expiry = 10s});
  reach("b");
  engine.world.background.no_threads = true;
  EXPECT_FALSE(is_valid(*lease));
  engine.world.background.no_threads = false;
  EXPECT_FALSE(is_valid(*lease));
  engine.world.run_for(100ms);
  EXPECT_TRUE(is_valid(*lease));
}

// It is known that there is another one, though not where.
TEST_P(AnotherServer, IsHeardOfBeforeItIsReached) {
  const auto lease = engine.hold("job", {.expiry = 10s});
  engine.world.known.note_replaced(engine.world.server.link);
  EXPECT_FALSE(is_valid(*lease));
}

INSTANTIATE_TEST_SUITE_P(OfSentinelsAndOthers, AnotherServer, ::testing::Bool());

// Where servers may be replaced each lease is confirmed again at once, whether anybody asks or not.
TEST(Replaceable, LeasesAreConfirmedUnasked) {
  Engine engine{nullptr, true};
  engine.world.peer = "a";
  engine.world.connect();
  const auto lease = engine.hold("job", {.expiry = 10s});
  engine.world.break_link();
  engine.world.peer = "b";
  engine.world.connect();
  EXPECT_FALSE(lease->is_confirmed_here());
  engine.world.run_for(100ms);
  EXPECT_TRUE(lease->is_confirmed_here());
}

// And it is looked at once and then once a second whether the server is still the one, but only while there is a lock to lose.
TEST(Replaceable, ServersAreWatchedWhileThereAreLocks) {
  Engine engine{nullptr, true};
  engine.world.connect();
  engine.world.run_for(10s);
  EXPECT_EQ(engine.world.background.verified, 0);
  for (int round = 1; round <= 2; ++round) {
    {
      const auto lease = engine.hold("job", {.expiry = 60s});
      engine.world.run_for(5500ms);
    }
    EXPECT_EQ(engine.world.background.verified, 7 * round - 1);
    engine.world.run_for(10s);
    EXPECT_EQ(engine.world.background.verified, 7 * round) << "the last one finds nobody who wants it";
  }
}

// Whoever holds locks for moments may have none whenever it is looked: the server is verified all the same.
TEST(Replaceable, ServersAreWatchedWhereLocksAreShort) {
  Engine engine{nullptr, true};
  engine.world.connect();
  for (int i = 1; i <= 10; ++i) {
    {
      const auto lease = engine.hold("job", {.expiry = 60s});
      engine.world.run_for(50ms);
    }
    engine.world.run_for(1010ms);
    EXPECT_GE(engine.world.background.verified, i);
  }
  for (int i = 0; i < 100; ++i) {
    const auto lease = engine.hold("job", {.expiry = 60s});
    engine.world.run_for(10ms);
  }
  EXPECT_LE(engine.world.background.verified, 24) << "once a second, not for each";
}

TEST(Replaceable, OthersAreNotWatched) {
  Engine engine;
  engine.world.connect();
  const auto lease = engine.hold("job", {.expiry = 60s});
  engine.world.run_for(10s);
  EXPECT_EQ(engine.world.background.verified, 0);
}

/// A cluster of two servers, which keep the same; one of them has all slots.
struct AnotherServerOfACluster : ::testing::Test {
  ~AnotherServerOfACluster() override { session.close(); }

  void SetUp() override {
    take_over("b");
    take_in();  // so both are known
    take_over("a");
    take_in();
    world.connect();
    for (route::Server& server : servers) {
      server.begin(world.server.link, {.server = "valkey", .version = {9, 0, 0}, .mode = "cluster"});
    }
    world.server.answers_instead = [this](const FakeServer::Words& words) -> std::optional<Reply> {
      if (words.front() != "CLUSTER") return std::nullopt;
      return Reply{.type = Answer::Type::values, .values = slots};
    };
  }

  /// What is asked for the map says so from now on.
  void take_over(std::string_view host) {
    using Type = protocol::Value::Type;
    slots = {{.type = Type::list, .integer = 3},        {.type = Type::integer, .integer = 0},
             {.type = Type::integer, .integer = 16383}, {.type = Type::list, .integer = 2},
             {.type = Type::text, .text = host},        {.type = Type::integer, .integer = 1}};
  }
  void take_in() { cluster.take_in(*protocol::read_slots(slots, {})); }

  std::shared_ptr<Lease> hold(std::chrono::milliseconds expiry, const std::string& key = "job") {
    auto lease =
        std::make_shared<Lease>(session, protocol::Key{key}, protocol::OwnerId{{}}, Lease::Terms{.expiry = expiry});
    world.server.store(key, lease->value(), expiry);
    lease->begin({.valid_until = world.now() + expiry, .since = world.now()}, word_of_present(), world.now());
    return lease;
  }
  Lease::Authority word_of_present() { return {&cluster.server_of(protocol::slot_of("job")), 1}; }
  bool is_valid(Lease& lease) { return lease.valid_here_until(first_turn) > world.now(); }
  int looks() const { return world.server.count("CLUSTER"); }

  World world;
  std::list<route::Server> servers;
  route::Cluster cluster{{{"a", 1}, {"b", 1}}, [this](const ServerAddress& address) -> route::Server& {
                           return servers.emplace_back(world.environment, address.host, [](std::string_view) {});
                         }};
  Session session{Session::Outside{world.environment, cluster, world.background, *world.callbacks},
                  Session::Limits{.connect_timeout = 2s, .command_timeout = 2s}};
  std::vector<protocol::Value> slots;
};

// The word of the server holds that has the key's slot, and of no other one.
TEST_F(AnotherServerOfACluster, TakesNoWordAlong) {
  const auto lease = hold(10s);
  EXPECT_TRUE(is_valid(*lease));
  take_over("b");
  take_in();
  EXPECT_FALSE(is_valid(*lease));
  EXPECT_GT(lease->valid_until(first_turn), world.now());
  take_over("a");
  take_in();
  EXPECT_TRUE(is_valid(*lease));
}

/// An extension that the present server has answered, and whose answer is taken in later.
struct LateAnswer {
  LateAnswer(AnotherServerOfACluster& test, Lease& held)
      : lease{held},
        by{test.word_of_present()},
        machine{held.key(), held.id(), held.begin_extension(first_turn, 60s, protocol::Longer::goes).value().terms} {
    const Instant now = test.world.now();
    machine.answered({.type = Answer::Type::integers, .integers = {1}, .sent_at = now, .now = now});
  }
  void take_in() { EXPECT_EQ(lease.conclude_extension(machine, Lease::Went::answered, by), nullptr); }

  Lease& lease;
  const Lease::Authority by;
  protocol::Extend machine;
};

// Whoever has the slot by the time in which an answer is taken in has not given it.
TEST_F(AnotherServerOfACluster, HasNotSaidWhatTheFormerOneSaid) {
  const auto lease = hold(10s);
  LateAnswer late{*this, *lease};
  take_over("b");
  take_in();
  late.take_in();
  EXPECT_FALSE(is_valid(*lease));
  take_over("a");
  take_in();
  EXPECT_TRUE(is_valid(*lease));
}

// Also where the present one has said so by then: it is asked once more.
TEST_F(AnotherServerOfACluster, IsAskedAgainWhenTheFormerOneAnswersLate) {
  const auto lease = hold(10s);
  LateAnswer late{*this, *lease};
  take_over("b");
  take_in();
  world.run_for(100ms);
  ASSERT_TRUE(lease->is_confirmed_here());
  late.take_in();
  EXPECT_FALSE(is_valid(*lease));
  world.run_for(100ms);
  EXPECT_TRUE(is_valid(*lease));
}

// Each is asked once, however many slots have moved.
TEST_F(AnotherServerOfACluster, IsAskedOnceForALease) {
  std::vector<std::shared_ptr<Lease>> leases;
  for (int i = 0; i < 20; ++i) leases.push_back(hold(60s, "job " + std::to_string(i)));
  take_over("b");
  for (const auto& lease : leases) {
    const auto slot = protocol::slot_of(lease->key().text());
    cluster.moved(servers.front(), "MOVED " + std::to_string(slot) + " b:1");
  }
  world.run_for(100ms);
  EXPECT_EQ(world.server.count("extend"), 20);
  for (const auto& lease : leases) EXPECT_TRUE(lease->is_confirmed_here());
}

// A holder that has nothing to send hears of it all the same, and each lease is confirmed, whether anybody asks or not.
TEST_F(AnotherServerOfACluster, IsHeardOfByThoseWhoSendNothing) {
  const auto lease = hold(60s);
  world.run_for(5s);
  EXPECT_EQ(world.server.count("extend"), 0);
  take_over("b");
  ASSERT_TRUE(world.run_until_is([&] { return !lease->is_confirmed_here(); }, 2s));
  world.run_for(100ms);
  EXPECT_TRUE(lease->is_confirmed_here());
  EXPECT_TRUE(is_valid(*lease));
  EXPECT_EQ(world.server.count("extend"), 1);
}

TEST_F(AnotherServerOfACluster, IsHeardOfByThoseWhoListenForALoss) {
  const auto lease = hold(60s);
  const auto lost = lease->lost_token(first_turn);
  world.run_for(1s);
  const int visits = world.server.count("extend");
  world.run_for(4s);
  ASSERT_EQ(world.server.count("extend"), visits) << "the server would tell of changes";
  world.server.store("job", "somebody else's", 60s);
  take_over("b");
  EXPECT_TRUE(world.run_until_is([&] { return lost.stop_requested(); }, 2s));
}

// The same where a request finds it out. It may be one of another lock.
TEST_F(AnotherServerOfACluster, IsHeardOfFromARefusal) {
  const auto lease = hold(60s);
  take_over("b");
  cluster.moved(servers.front(), "MOVED " + std::to_string(protocol::slot_of("job")) + " b:1");
  EXPECT_FALSE(lease->is_confirmed_here());
  world.run_for(100ms);
  EXPECT_TRUE(lease->is_confirmed_here());
}

// Only while there is a lock to lose.
TEST_F(AnotherServerOfACluster, IsLookedForOnceASecondWhileThereAreLocks) {
  world.run_for(10s);
  EXPECT_EQ(looks(), 0);
  for (int round = 1; round <= 2; ++round) {
    {
      const auto lease = hold(60s);
      world.run_for(5500ms);
    }
    EXPECT_EQ(looks(), 7 * round - 1);
    world.run_for(10s);
    EXPECT_EQ(looks(), 7 * round) << "the last one finds nobody who wants it";
  }
}

// A long map is much to ask for.
TEST_F(AnotherServerOfACluster, IsLookedForLessOftenWhereTheMapIsLong) {
  const std::vector<protocol::Value> range = slots;
  for (int i = 1; i < 4000; ++i) slots.insert(slots.end(), range.begin(), range.end());
  const auto lease = hold(60s);
  world.run_for(41s);
  EXPECT_GE(looks(), 9);
  EXPECT_LE(looks(), 11);
  take_over("b");
  EXPECT_TRUE(world.run_until_is([&] { return !lease->is_confirmed_here(); }, 5s));
}

// Where nobody tells they are asked one after the other for some seconds, and then once a second.
TEST_F(AnotherServerOfACluster, IsAskedForOnceASecondWhereNobodyTells) {
  slots.clear();
  const auto lease = hold(600s);
  world.run_for(60s);
  EXPECT_GE(looks(), 60);
  EXPECT_LE(looks(), 85);
}

// A long map may take its time, more than is waited at first.
TEST_F(AnotherServerOfACluster, IsToldOfSlowly) {
  world.server.round_trip = 700ms;
  const auto lease = hold(60s);
  world.run_for(5s);
  take_over("b");
  EXPECT_TRUE(world.run_until_is([&] { return !lease->is_confirmed_here(); }, 4s));
}

// With an answer that is none the link breaks, and all that is under way there.
TEST_F(AnotherServerOfACluster, IsSeldomAskedForWhereTheAnswerBreaksTheLink) {
  world.server.babbles_at = "CLUSTER";
  const auto lease = hold(60s);
  world.run_for(30s);
  EXPECT_GE(looks(), 5);
  EXPECT_LE(looks(), 7);
}

}  // namespace
}  // namespace redismutex::engine::testing
