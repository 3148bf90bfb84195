// What stands beside a key: Options::label.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/giving_back.hpp"
#include "protocol/inspect.hpp"
#include "unit/engine/engine.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

class LabelTest : public ::testing::Test {
 protected:
  Engine engine;
  World& world = engine.world;
  FakeServer& server = engine.world.server;

  void SetUp() override { world.connect(); }

  /// The label that this lock's owner has written, as long as the server has it.
  std::optional<Label> label_of(const Lease& lease) {
    const auto place = server.keys.find(lease.key().about());
    if (place == server.keys.end() || place->second.until <= world.now()) return std::nullopt;
    return protocol::read_label(place->second.value, lease.value());
  }

  /// How much longer the label stands than the lock.
  std::chrono::nanoseconds ahead(const Lease& lease) {
    const auto label = server.keys.find(lease.key().about());
    const auto lock = server.keys.find(lease.key().text());
    if (label == server.keys.end() || lock == server.keys.end()) return -1h;
    return label->second.until - lock->second.until;
  }

  void release(const std::shared_ptr<Lease>& lease) {
    GivingBack giving{*engine.session, lease, first_turn, Lines::Ticket{}};
    Drive drive{world, giving, [] {}};
    drive.start();
    EXPECT_TRUE(world.run_until_is([&] { return drive.is_over(); }));
  }
};

// The length of its lease is what people compare the rest with.
TEST_F(LabelTest, SaysHowLongAnExtendedLeaseIs) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(20ms);
  ASSERT_TRUE(label_of(*lease));
  EXPECT_EQ(label_of(*lease)->expiry, 7s);
  Extending extending{*engine.session, lease, first_turn, {.expiry = 60s}};
  Drive drive{world, extending, [] {}};
  drive.start();
  world.run_for(20ms);
  EXPECT_GT(label_of(*lease)->expiry, 59s);
}

// It is no part of the way in: a lock that is given back soon costs nothing more.
TEST_F(LabelTest, IsWrittenAfterAMoment) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  const auto began = world.environment.wall_clock();
  world.run_for(4ms);
  EXPECT_EQ(server.count("SET"), 0);
  world.run_for(5ms);
  const auto label = label_of(*lease);
  ASSERT_TRUE(label);
  EXPECT_EQ(label->text, "import");
  EXPECT_EQ(label->since.time_since_epoch(), began);
  EXPECT_EQ(label->expiry, 7s);
  EXPECT_FALSE(label->token);
  EXPECT_GT(ahead(*lease), 0s);
  world.run_for(60s);
  EXPECT_EQ(server.count("SET"), 1);
  EXPECT_EQ(server.count("extend"), 0) << "nothing else is done for such a lock";
}

TEST_F(LabelTest, OfAShortLockIsNotWritten) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(4ms);
  release(lease);
  EXPECT_EQ(server.count("DELIFEQ"), 1) << "as without a label";
  world.run_for(60s);
  EXPECT_EQ(server.count("SET"), 0);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(LabelTest, GoesWithTheLock) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(10ms);
  ASSERT_TRUE(label_of(*lease));
  release(lease);
  EXPECT_EQ(server.count("release"), 1);
  EXPECT_TRUE(server.keys.empty());
}

// Somebody else's label stays.
TEST_F(LabelTest, GoesWithItsOwnLockOnly) {
  const auto lease = engine.hold("job", {.expiry = 1s, .label = "import"});
  world.run_for(2s);
  const auto next = engine.hold("job", {.expiry = 7s, .label = "export"});
  world.run_for(10ms);
  release(lease);
  ASSERT_TRUE(label_of(*next));
  EXPECT_EQ(label_of(*next)->text, "export");
  EXPECT_FALSE(label_of(*lease));
}

// What is given back in the background takes its label along, too.
TEST_F(LabelTest, GoesWithALockThatIsCleanedUp) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(10ms);
  give_back(*engine.session, lease, first_turn, {});
  world.run_for(10ms);
  EXPECT_TRUE(server.keys.empty());
}

// It never ends before the lease, and is not written with each renewal.
TEST_F(LabelTest, IsKeptWhileTheLeaseIsRenewed) {
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .label = "import"});
  world.run_for(10ms);
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(label_of(*lease)) << i;
    ASSERT_GT(ahead(*lease), 0s) << i;
    world.run_for(100ms);
  }
  EXPECT_LT(server.count("SET"), server.count("extend") / 2);
  release(lease);
  EXPECT_TRUE(server.keys.empty());
  const int written = server.count("SET");
  world.run_for(60s);
  EXPECT_EQ(server.count("SET"), written);
}

// The owner's own extension makes a lease longer than was planned.
TEST_F(LabelTest, OutlastsAnExtension) {
  const auto lease = engine.hold("job", {.expiry = 3s, .label = "import"});
  world.run_for(10ms);
  Extending extending{*engine.session, lease, first_turn, {.expiry = 60s}};
  Drive drive{world, extending, [] {}};
  drive.start();
  world.run_for(10ms);
  EXPECT_GT(ahead(*lease), 0s);
  EXPECT_EQ(server.count("SET"), 2);
}

// Nobody writes it later: the process may end.
TEST_F(LabelTest, OfALockThatIsLeftIsWrittenBefore) {
  const auto lease = engine.hold("job", {.expiry = 7s, .renews = true, .label = "import"});
  const auto left = lease->leave(first_turn);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->until, protocol::valid_until(world.now(), 7s));
  protocol::WriteLabel machine{lease->key(), lease->id(), left->label};
  EXPECT_FALSE(engine.run(machine));
  ASSERT_TRUE(label_of(*lease));
  EXPECT_EQ(label_of(*lease)->text, "import");
  EXPECT_GT(ahead(*lease), 0s);
  world.run_for(60s);
  EXPECT_EQ(server.count("SET"), 1);
  EXPECT_EQ(server.count("extend"), 0) << "it is nobody's any more";
  EXPECT_FALSE(lease->leave(first_turn));
}

// Whatever was written of it before: it says so.
TEST_F(LabelTest, OfALockThatIsLeftSaysSo) {
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(10ms);
  ASSERT_TRUE(label_of(*lease));
  EXPECT_FALSE(label_of(*lease)->left);
  const auto label = lease->leave(first_turn);
  ASSERT_TRUE(label);
  EXPECT_TRUE(label->label.left);
  EXPECT_EQ(label->label.text, "import");
  EXPECT_FALSE(engine.hold("other", {.expiry = 7s})->leave(first_turn)) << "it has none";
}

// There is nothing to say of it.
TEST_F(LabelTest, OfALockThatIsOverIsNotWritten) {
  const auto lease = engine.hold("job", {.expiry = 1s, .label = "import"});
  lease->lose(Loss::gone);
  EXPECT_FALSE(lease->leave(first_turn));
  const auto expired = engine.hold("other", {.expiry = 4ms, .label = "import"});
  world.run_for(1s);
  EXPECT_FALSE(expired->leave(first_turn));
  const auto plain = engine.hold("third", {.expiry = 1s});
  EXPECT_FALSE(plain->leave(first_turn));
}

// A handed-over lock is the new holder's; the label, too.
TEST_F(LabelTest, OfAClaimIsTheHolders) {
  const auto lease = engine.claim("job", {.expiry = 10s, .label = "import"});
  world.run_for(10ms);
  EXPECT_TRUE(label_of(*lease));
  world.run_for(500ms);
  EXPECT_FALSE(lease->is_claim(first_turn));
  EXPECT_GT(ahead(*lease), 0s);
}

// A refusal does not harm the lock. It is told once, and tried again when the lease is renewed.
TEST_F(LabelTest, ThatIsRefusedIsTriedAgainWithTheNextRenewal) {
  server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "SET") return Reply::error("NOPERM this user has no permissions to access one of the keys");
    return std::nullopt;
  };
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .label = "import"});
  const auto other = engine.hold("other", {.expiry = 3s, .label = "import"});
  world.run_for(4s);
  EXPECT_NE(lease->valid_until(first_turn), Instant{});
  EXPECT_EQ(world.log.size(), 1U);
  EXPECT_TRUE(world.is_logged("could not be written; the server said: NOPERM"));
  server.answers_instead = nullptr;
  world.run_for(1s);
  EXPECT_TRUE(label_of(*lease));
}

// However many there are.
TEST_F(LabelTest, ManyAreWrittenOneAfterTheOther) {
  server.round_trip = 20ms;
  std::vector<std::shared_ptr<Lease>> leases;
  for (int i = 0; i < 1000; ++i)
    leases.push_back(engine.hold("job " + std::to_string(i), {.expiry = 7s, .label = "import"}));
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    world.run_for(1ms);
    most = std::max(most, world.background.under_way());
  }
  EXPECT_LE(most, 64U);
  for (const auto& lease : leases) ASSERT_TRUE(label_of(*lease));
  EXPECT_EQ(server.count("SET"), 1000);
}

// Without a thread for it there is a lock all the same.
TEST_F(LabelTest, IsMissingWithoutAThread) {
  world.background.no_threads = true;
  const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
  world.run_for(1s);
  EXPECT_FALSE(label_of(*lease));
  release(lease);
  EXPECT_TRUE(server.keys.empty());
}

// A lock without one is left alone.
TEST_F(LabelTest, NoneCostsNothing) {
  const auto lease = engine.hold("job", {.expiry = 7s});
  world.run_for(1s);
  EXPECT_EQ(world.background.started, 0);
  EXPECT_EQ(world.background.runs, 0);
  release(lease);
  EXPECT_EQ(server.count("DELIFEQ"), 1);
}

// It keeps nothing alive, and the session may end meanwhile.
TEST_F(LabelTest, TheSessionMayEndWhileOneIsUnderWay) {
  server.round_trip = 1s;
  std::weak_ptr<Lease> gone;
  {
    const auto lease = engine.hold("job", {.expiry = 7s, .label = "import"});
    gone = lease;
    world.run_for(100ms);
    EXPECT_EQ(world.background.under_way(), 1U);
  }
  EXPECT_TRUE(gone.expired());
  engine.session.reset();
  world.run_for(10s);
  EXPECT_EQ(world.background.under_way(), 0U);
}

}  // namespace
}  // namespace redismutex::engine
