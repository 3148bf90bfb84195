// Renewal of leases that their holders extend, or that are passed on while they may not be renewed any more.

#include <gtest/gtest.h>

#include <memory>
#include <system_error>
#include <variant>

#include "engine/lease.hpp"
#include "protocol/extend.hpp"
#include "unit/engine/engine.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

void extend(Engine& engine, Lease& lease, Lease::Turn turn, std::chrono::milliseconds expiry) {
  const auto extension = lease.begin_extension(turn, expiry, protocol::Longer::goes);
  ASSERT_TRUE(extension);
  protocol::Extend machine{lease.key(), lease.id(), extension->terms};
  EXPECT_FALSE(engine.run(machine));
  EXPECT_FALSE(lease.conclude_extension(machine, Lease::Went::answered, engine.said()));
}

// The holder starts it anew for longer than renewals do: they go on when so much is left as usual.
TEST(RenewalLimits, ALongExtensionEndsNoRenewals) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true});
  engine.world.run_for(100ms);
  extend(engine, *lease, first_turn, 20s);
  const int extensions = engine.world.server.count("extend");
  engine.world.run_for(17s);
  EXPECT_LE(engine.world.server.count("extend"), extensions + 1) << "the one that finds nothing to gain";
  EXPECT_TRUE(notes->renewals.size() <= 1U);
  engine.world.run_for(60s);
  EXPECT_TRUE(notes->losses.empty());
  EXPECT_GT(lease->valid_until(first_turn), engine.world.now() + 1800ms);
}

// The same where a limit lies within the extension: it is not renewed beyond that.
TEST(RenewalLimits, ALongExtensionLiftsNoLimit) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .max_hold = 10s});
  const Instant begun = engine.world.now();
  engine.world.run_for(100ms);
  extend(engine, *lease, first_turn, 20s);
  engine.world.run_until(begun + 19s);
  EXPECT_GT(lease->valid_until(first_turn), engine.world.now());
  engine.world.run_until(begun + 21s);
  EXPECT_EQ(lease->valid_until(first_turn), Instant{});
}

// The same where the lease was longer from the beginning, because the place asked for more.
TEST(RenewalLimits, ALongLeaseLiftsNoLimit) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.make_lease("job", {.expiry = 3s, .renews = true, .max_hold = 10s});
  const Instant begun = engine.world.now();
  engine.world.server.store("job", lease->value(), 30s);
  lease->begin({.valid_until = protocol::valid_until(begun, 30s), .asked = 30s, .since = begun}, engine.said(), begun);
  engine.world.run_until(begun + 9900ms);
  EXPECT_TRUE(notes->losses.empty());
  EXPECT_GT(lease->valid_until(first_turn), engine.world.now());
  engine.world.run_until(begun + 10s);
  EXPECT_EQ(lease->valid_until(first_turn), Instant{});
  EXPECT_EQ(notes->losses.size(), 1U);
}

// After the last renewal that it was allowed its holder shortens it: it is renewed once more, to the limit.
TEST(RenewalLimits, AShortExtensionAfterTheLastRenewalIsRenewed) {
  for (const bool is_answered : {true, false}) {
    const auto notes = std::make_shared<Notes>();
    Engine engine{notes};
    const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .max_hold = 10s});
    const Instant begun = engine.world.now();
    engine.world.run_until(begun + 8s);
    if (is_answered) {
      extend(engine, *lease, first_turn, 300ms);
    } else {
      const auto extension = lease->begin_extension(first_turn, 300ms, protocol::Longer::goes);
      ASSERT_TRUE(extension);
      const protocol::Extend machine{lease->key(), lease->id(), extension->terms};
      EXPECT_FALSE(lease->conclude_extension(machine, Lease::Went::unconfirmed));
    }
    engine.world.run_until(begun + 9900ms);
    EXPECT_TRUE(notes->losses.empty());
    EXPECT_GT(lease->valid_until(first_turn), engine.world.now());
    engine.world.run_until(begun + 10s);
    EXPECT_EQ(lease->valid_until(first_turn), Instant{});
  }
}

// It is passed on while the last renewal that the holder before was allowed is under way: the next holder has time of its own.
TEST(RenewalLimits, ATurnThatBeginsDuringTheLastRenewalIsRenewed) {
  for (const auto pause : {5ms, 15ms, 25ms}) {
    const auto notes = std::make_shared<Notes>();
    Engine engine{notes};
    engine.world.server.round_trip = 20ms;
    const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .max_hold = 10s});
    const Instant limit = engine.world.now() + 10s;
    // The first one that leads no further than to the limit.
    ASSERT_TRUE(engine.world.run_until_is(
        [&] { return engine.world.now() > limit - 3s && engine.world.background.under_way() > 0; }));
    engine.world.run_for(pause);
    const Lease::Turn next = lease->pass();
    ASSERT_NE(next, 0U);
    const Instant passed_at = engine.world.now();
    engine.world.run_until(passed_at + 9s);
    EXPECT_TRUE(notes->losses.empty());
    EXPECT_GT(lease->valid_until(next), engine.world.now());
    engine.world.run_until(passed_at + 10s);
    EXPECT_EQ(lease->valid_until(next), Instant{});
  }
}

// That a lock was looked after before says nothing about the threads which one that is renewed needs.
TEST(RenewalLimits, ALeaseThatIsRenewedNeedsAllThreads) {
  Engine engine;
  const auto handed_over = engine.claim("job", {.expiry = 3s});
  engine.world.background.no_threads = true;
  EXPECT_THROW(engine.make_lease("other", {.expiry = 3s, .renews = true}), std::system_error);
}

}  // namespace
}  // namespace redismutex::engine
