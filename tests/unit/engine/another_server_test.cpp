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

/// A cluster, and a lease that its server a has granted.
struct InACluster : ::testing::Test {
  InACluster() {
    all_at("a");
    world.connect();
    lease = std::make_shared<Lease>(session, protocol::Key{"job"}, protocol::OwnerId{{}}, Lease::Terms{.expiry = 10s});
    lease->begin({.valid_until = world.now() + 10s, .since = world.now()}, {&servers.front(), 1}, world.now());
  }
  ~InACluster() override { session.close(); }

  void all_at(const std::string& host) {
    const std::vector<protocol::SlotRange> ranges{{0, 16383, {host, 1}}};
    cluster.take_in(ranges);
  }
  bool is_valid() { return lease->valid_here_until(first_turn) > world.now(); }

  World world;
  std::list<route::Server> servers;
  route::Cluster cluster{{{"a", 1}}, [&](const ServerAddress& address) -> route::Server& {
                           return servers.emplace_back(world.environment, address.host, [](std::string_view) {});
                         }};
  Session session{Session::Outside{world.environment, cluster, world.background, *world.callbacks},
                  Session::Limits{.connect_timeout = 2s, .command_timeout = 2s}};
  std::shared_ptr<Lease> lease;
};

// The word of the server holds that has the key's slot, and of no other one.
TEST_F(InACluster, ASlotThatMovesTakesNoWordAlong) {
  EXPECT_TRUE(is_valid());
  all_at("b");
  EXPECT_EQ(lease->valid_here_until(first_turn), Instant{});
  EXPECT_GT(lease->valid_until(first_turn), world.now());
  all_at("a");
  EXPECT_TRUE(is_valid());
}

// Whoever has the slot by the time in which an answer is taken in has not given it.
TEST_F(InACluster, AnAnswerIsTheWordOfWhoeverGaveIt) {
  const auto extension = lease->begin_extension(first_turn, 60s, protocol::Longer::goes);
  ASSERT_TRUE(extension);
  protocol::Extend machine{lease->key(), lease->id(), extension->terms};
  machine.answered({.type = Answer::Type::integers, .integers = {1}, .sent_at = world.now(), .now = world.now()});
  all_at("b");
  EXPECT_EQ(lease->conclude_extension(machine, Lease::Went::answered, {&servers.front(), 1}), nullptr);
  EXPECT_FALSE(is_valid());
  all_at("a");
  EXPECT_TRUE(is_valid());
}

}  // namespace
}  // namespace redismutex::engine::testing
