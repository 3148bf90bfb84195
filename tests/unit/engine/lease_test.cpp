#include "engine/lease.hpp"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "unit/engine/engine.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

bool is_lost(const std::stop_token& token) { return token.stop_requested(); }

// The token stops at the end of the lease as we count it, which is before the server's.
TEST(HeldLease, ItsEndIsToldBeforeTheServerLetsItGo) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 3s});
  const Instant until = lease->valid_until(first_turn);
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_until(until - 1ns);
  EXPECT_FALSE(is_lost(token));
  engine.world.run_until(until);
  EXPECT_TRUE(is_lost(token));
  EXPECT_GT(engine.left(*lease), 0ms);
  EXPECT_EQ(lease->valid_until(first_turn), Instant{});
}

// A lease that nobody listens to costs the background nothing.
TEST(HeldLease, APlainOneNeedsNobody) {
  Engine engine;
  {
    const auto lease = engine.hold("job", {.expiry = 3s});
    engine.world.run_for(1s);
    ASSERT_TRUE(lease->end(first_turn, engine.world.now()));
  }
  engine.world.run_for(10s);
  EXPECT_EQ(engine.world.background.runs, 0);
  EXPECT_EQ(engine.world.background.started, 0);
}

// What the one under way can not tell any more, one that begins later tells.
TEST(HeldLease, ALookThatIsWantedWhileOneIsUnderWayComesAfterIt) {
  Engine engine;
  engine.world.server.round_trip = 100ms;
  const auto lease = engine.hold("job", {.expiry = 30s});
  lease->look_soon();
  ASSERT_TRUE(
      engine.world.run_until_is([&] { return engine.world.server.count("extend") == 1; }));  // the answer is on its way
  lease->look_soon();
  engine.world.run_for(10s);
  EXPECT_EQ(engine.world.server.count("extend"), 2);
}

// A key that others delete is noticed at once, once the lock was held for longer than a moment.
TEST(HeldLease, ADeletedKeyIsToldAtOnce) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 30s});
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_for(100ms);
  EXPECT_EQ(engine.world.server.count("extend"), 1);
  EXPECT_TRUE(engine.world.background.listening);
  engine.world.server.remove("job");
  engine.world.run_for(1ms);
  EXPECT_TRUE(is_lost(token));
  ASSERT_EQ(notes->losses.size(), 1U);
  EXPECT_EQ(notes->losses[0].second, Loss::gone);
}

// Within the short lease with which it was handed over, or later; also if that is found out by asking.
TEST(HeldLease, TheLossOfAClaimIsToldAsOne) {
  for (const auto& [after, claims, asks] :
       std::vector<std::tuple<Instant::duration, int, bool>>{{10ms, 1, false}, {10ms, 1, true}, {5s, 0, false}}) {
    const auto notes = std::make_shared<Notes>();
    Engine engine{notes};
    const auto lease = engine.claim("job", {.expiry = 30s});
    engine.world.run_for(after);
    if (asks) {
      engine.world.server.remove("job");
      engine.world.run_for(500ms);
    } else {
      lease->lose(Loss::gone);
      engine.world.run_for(1ms);
    }
    EXPECT_EQ(notes->losses.size(), 1U);
    EXPECT_EQ(notes->claims_lost, claims);
  }
}

// One that simply ended was not taken away.
TEST(HeldLease, AnEndIsToldAsExpired) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 1s});
  engine.world.run_for(2s);
  ASSERT_EQ(notes->losses.size(), 1U);
  EXPECT_EQ(notes->losses[0].second, Loss::expired);
  const auto ending = lease->end(first_turn, engine.world.now());
  ASSERT_TRUE(ending);
  EXPECT_EQ(lease->lost(), Loss::expired);
  EXPECT_EQ(lease->found_gone().why, Loss::expired);
  EXPECT_EQ(notes->losses.size(), 1U);
}

// Also if nobody has noticed before the release does.
TEST(HeldLease, AnEndThatTheReleaseFindsIsToldAsExpired) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 1s});
  engine.world.run_for(2s);
  const auto ending = lease->end(first_turn, engine.world.now());
  ASSERT_TRUE(ending);
  EXPECT_FALSE(lease->lost());
  EXPECT_EQ(lease->found_gone().why, Loss::expired);

  const auto other = engine.hold("other", {.expiry = 10s});
  ASSERT_TRUE(other->end(first_turn, engine.world.now()));
  EXPECT_EQ(other->found_gone().why, Loss::gone);
}

// After the end nobody hears of a loss, and nothing is asked for any more.
TEST(HeldLease, NobodyIsToldAfterTheEnd) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 1s, .renews = true});
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_for(50ms);
  ASSERT_TRUE(lease->end(first_turn, engine.world.now()));
  EXPECT_FALSE(lease->end(first_turn, engine.world.now()));
  engine.world.server.remove("job");
  engine.world.run_for(10s);
  EXPECT_FALSE(is_lost(token));
  EXPECT_TRUE(notes->losses.empty());
  EXPECT_EQ(engine.world.server.count("extend"), 1);
}

// The callback of one lock is no part of another's news.
TEST(HeldLease, ASlowCallbackDelaysNoOthersLoss) {
  Engine engine;
  engine.world.callbacks->at_once = false;
  const auto one = engine.hold("one", {.expiry = 1s});
  const auto other = engine.hold("other", {.expiry = 1s});
  const std::stop_token first = one->lost_token(first_turn);
  const std::stop_token second = other->lost_token(first_turn);
  engine.world.run_for(1s);
  ASSERT_EQ(engine.world.callbacks->jobs.size(), 2U);
  engine.world.callbacks->jobs.back()->run();
  EXPECT_NE(is_lost(first), is_lost(second));
}

// Where there is no thread for it, a lock that is to be renewed is not even asked for; others do without what they need not.
TEST(HeldLease, NothingThrowsAfterTheGrant) {
  Engine engine{std::make_shared<Notes>()};
  engine.world.background.no_threads = engine.world.callbacks->no_threads = true;
  EXPECT_THROW(engine.make_lease("job", {.expiry = 1s, .renews = true}), std::system_error);
  const auto lease = engine.claim("job", {.expiry = 10s});
  EXPECT_THROW(lease->lost_token(first_turn), std::system_error);
  EXPECT_TRUE(lease->end(first_turn, engine.world.now()));
}

// ---- claims ---------------------------------------------------------------------------------------------------------

TEST(HeldLease, AClaimBecomesTheFullLeaseIfItIsHeldForAMoment) {
  Engine engine;
  const auto lease = engine.claim("job", {.expiry = 10s});
  EXPECT_TRUE(lease->is_claim(first_turn));
  engine.world.run_for(90ms);
  EXPECT_EQ(engine.world.server.count("extend"), 0);
  engine.world.run_for(20ms);
  EXPECT_FALSE(lease->is_claim(first_turn));
  EXPECT_GT(engine.left(*lease), 9s);
  engine.world.run_for(20s);
  EXPECT_EQ(engine.world.server.count("extend"), 1);
}

// The server may have it yet, for it counts a little more than we do. But it has been said that it is over.
TEST(HeldLease, AnAnswerThatIsReadAfterTheEndRevivesNothing) {
  Engine engine;
  const auto lease = engine.claim("job", {.expiry = 10s});
  const Instant asked_at = engine.world.now();
  const Instant end = lease->valid_until(first_turn);
  const Lease::Visit visit{.what = Lease::Visit::What::extend, .renew_to = 10s, .until = end};
  const protocol::ExtendMany::Fate extended = protocol::Extend::Extended{.sent_at = asked_at, .waiting = 0};
  EXPECT_LE(lease->conclude_visit(visit, extended, {}, end), end);
  EXPECT_LE(lease->valid_until(first_turn), end);
}

TEST(HeldLease, AClaimIsAskedForAgainWhenTheAnswerIsLost) {
  Engine engine;
  const auto lease = engine.claim("job", {.expiry = 10s});
  engine.world.run_for(50ms);
  engine.world.connect();
  engine.world.server.away = true;
  engine.world.break_link();
  engine.world.run_for(500ms);
  EXPECT_TRUE(lease->is_claim(first_turn));
  engine.world.server.away = false;
  engine.world.run_for(400ms);
  EXPECT_FALSE(lease->is_claim(first_turn));
}

// The owner may have asked for less than the full lease: nobody else is to ask for more.
TEST(HeldLease, AClaimThatTheOwnerShortensStaysShort) {
  Engine engine;
  const auto lease = engine.claim("job", {.expiry = 10s});
  const auto extension = lease->begin_extension(first_turn, 2s, protocol::Longer::goes);
  ASSERT_TRUE(extension);
  protocol::Extend machine{lease->key(), lease->id(), extension->terms};
  EXPECT_FALSE(engine.run(machine));
  EXPECT_EQ(lease->conclude_extension(machine, Lease::Went::answered, engine.said()), nullptr);
  engine.world.run_for(500ms);
  EXPECT_LT(engine.left(*lease), 2s);
  EXPECT_EQ(engine.world.server.count("extend"), 1);
}

// ---- extension ------------------------------------------------------------------------------------------------------

// What never left is no reason to count on less.
TEST(HeldLease, AnExtensionThatNeverLeftChangesNothing) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 20s});
  const Instant until = lease->valid_until(first_turn);
  auto extension = lease->begin_extension(first_turn, 5s, protocol::Longer::goes);
  ASSERT_TRUE(extension);
  EXPECT_LT(lease->valid_until(first_turn), until);
  EXPECT_EQ(
      lease->conclude_extension(protocol::Extend{lease->key(), lease->id(), extension->terms}, Lease::Went::never_left),
      nullptr);
  EXPECT_EQ(lease->valid_until(first_turn), until);

  extension = lease->begin_extension(first_turn, 60s, protocol::Longer::goes);
  protocol::Extend machine{lease->key(), lease->id(), extension->terms};
  const Instant sent_at = engine.world.now();
  EXPECT_FALSE(engine.run(machine));
  EXPECT_EQ(lease->conclude_extension(machine, Lease::Went::answered, engine.said()), nullptr);
  EXPECT_GE(lease->valid_until(first_turn), protocol::valid_until(sent_at, 60s));
}

// The extension finds the loss, and the callback lets go of the lock.
TEST(HeldLease, ALossThatAnExtensionFindsMayDestroyEverything) {
  Engine engine;
  auto lease = engine.hold("job", {.expiry = 20s});
  std::weak_ptr<Lease> kept = lease;
  const std::stop_callback callback{lease->lost_token(first_turn), [&lease] { lease.reset(); }};
  engine.world.server.keys.clear();
  const auto extension = lease->begin_extension(first_turn, 5s, protocol::Longer::goes);
  protocol::Extend machine{lease->key(), lease->id(), extension->terms};
  EXPECT_FALSE(engine.run(machine));
  const std::shared_ptr<Lease> own = lease;
  const auto loss = own->conclude_extension(machine, Lease::Went::answered);
  ASSERT_NE(loss, nullptr);
  EXPECT_NE(lease, nullptr);
  loss->run();
  EXPECT_EQ(lease, nullptr);
}

// A lease that is shortened ends when it says.
TEST(HeldLease, AShortenedLeaseEndsSooner) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 20s});
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_for(1s);
  const auto extension = lease->begin_extension(first_turn, 2s, protocol::Longer::goes);
  EXPECT_EQ(extension->terms.tracking, protocol::Tracking::on);
  EXPECT_EQ(
      lease->conclude_extension(protocol::Extend{lease->key(), lease->id(), extension->terms}, Lease::Went::unknown),
      nullptr);
  engine.world.run_for(2s);
  EXPECT_TRUE(is_lost(token));
}

// ---- passing on -----------------------------------------------------------------------------------------------------

// Whoever gives it back tries for as long as it may stand at the server, which may carry out yet what nobody waits for any more.
TEST(HeldLease, WhatIsUnderWayMayStandForLonger) {
  Engine engine;
  const auto extended = engine.hold("extended", {.expiry = 3s});
  ASSERT_TRUE(extended->begin_extension(first_turn, 1h, protocol::Longer::goes));
  const auto renewed = engine.hold("renewed", {.expiry = 3s, .renews = true});
  engine.world.run_for(2s);
  const Instant now = engine.world.now();
  EXPECT_GE(extended->end(first_turn, now)->stands_until, now + 1h);
  const auto ending = renewed->end(first_turn, now);
  EXPECT_GE(ending->stands_until, ending->terms.valid_until);
  EXPECT_LE(ending->stands_until, now + 4s);
}

// For the sake of others a longer lease was asked for than its holder wants, by this request or by one before.
TEST(HeldLease, WhatThePlaceAskedForMayStandForLonger) {
  Engine engine;
  const auto lease = engine.make_lease("job", {.expiry = 3s});
  const Instant now = engine.world.now();
  lease->begin({.valid_until = protocol::valid_until(now, 20s), .asked = 30s, .since = now}, engine.said(), now);
  const auto ending = lease->end(first_turn, now + 1s);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->terms.valid_until, protocol::valid_until(now, 20s));
  EXPECT_GE(ending->stands_until, now + 30s);
}

TEST(HeldLease, EachTurnHasItsOwnTokens) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.make_lease("job", {.expiry = 2s});
  engine.world.server.store("job", lease->value(), 2s);
  const Lease::Turn first = lease->begin({.valid_until = protocol::valid_until(engine.world.now(), 2s), .token = 7},
                                         engine.said(), engine.world.now());
  const std::stop_token token = lease->lost_token(first);
  engine.world.run_for(100ms);
  const Lease::Turn second = lease->pass();
  EXPECT_GT(second, first);
  EXPECT_EQ(lease->began(), engine.world.now());
  EXPECT_EQ(lease->token(second), 8U);
  EXPECT_EQ(lease->token(first), 0U);
  EXPECT_EQ(lease->valid_until(first), Instant{});
  EXPECT_FALSE(lease->begin_extension(first, 1s, protocol::Longer::goes));
  EXPECT_FALSE(lease->end(first, engine.world.now()));
  EXPECT_TRUE(is_lost(lease->lost_token(first)));
  const std::stop_token other = lease->lost_token(second);
  engine.world.run_for(10s);
  EXPECT_FALSE(is_lost(token));
  EXPECT_TRUE(is_lost(other));
  EXPECT_EQ(notes->losses.size(), 1U);
  EXPECT_EQ(lease->pass(), 0U);
}

// It is known for a moment by the answer, and then only while the server would tell of a change.
TEST(HeldLease, WhatIsKnownIsKnownForAMoment) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 20s});
  EXPECT_TRUE(lease->standing().is_known);
  engine.world.run_for(2ms);
  EXPECT_FALSE(lease->standing().is_known);
  engine.session->renewer().watch(*lease);
  engine.world.run_for(100ms);
  EXPECT_TRUE(lease->standing().is_known);

  // Others have deleted it, and the server has said so.
  engine.world.server.tell_change("job");
  engine.world.run_for(100us);
  EXPECT_FALSE(lease->standing().is_known);
  engine.world.run_for(10ms);
  EXPECT_TRUE(lease->standing().is_known);

  engine.world.break_link();
  EXPECT_FALSE(lease->standing().is_known);
  engine.world.connect();
  EXPECT_FALSE(lease->standing().is_known);
  engine.world.run_for(10ms);
  EXPECT_TRUE(lease->standing().is_known);
}

// An extension that was sent before the key was watched ends the tracking on the server.
TEST(HeldLease, AnExtensionWithoutTrackingEndsTheKnowledge) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 20s});
  const auto extension = lease->begin_extension(first_turn, 20s, protocol::Longer::stays);
  EXPECT_EQ(extension->terms.tracking, protocol::Tracking::off);
  engine.session->renewer().watch(*lease);
  engine.world.run_for(100ms);
  EXPECT_FALSE(lease->standing().is_known);
  EXPECT_EQ(
      lease->conclude_extension(protocol::Extend{lease->key(), lease->id(), extension->terms}, Lease::Went::unknown),
      nullptr);
  EXPECT_FALSE(lease->standing().is_known);
  engine.world.run_for(10ms);
  EXPECT_TRUE(lease->standing().is_known);
}

// While it is passed on the server is asked now and then whether others wait, and nobody waits for the answers.
TEST(HeldLease, PassingKeepsTheCountFresh) {
  Engine engine;
  const auto lease = engine.hold("job", {.expiry = 20s});
  engine.session->renewer().watch(*lease);
  engine.world.run_for(30ms);
  int uncounted = 0;
  for (int i = 0; i < 10'000; ++i) {
    lease->pass();
    engine.world.run_for(10us);
    uncounted += lease->standing().is_counted ? 0 : 1;
  }
  EXPECT_LT(uncounted, 100);  // before the first answer
  EXPECT_GE(engine.world.server.count("extend"), 8);
  EXPECT_LE(engine.world.server.count("extend"), 13);
  EXPECT_GT(engine.left(*lease), 19900ms);

  engine.world.server.lines[std::string{lease->key().line()}].push_back({"other", "0s", Instant::max()});
  engine.world.run_for(11ms);
  lease->pass();
  engine.world.run_for(1ms);
  EXPECT_EQ(lease->standing().waiting, 1);
}

class Heir final : public Lease::Successor {
 public:
  void lease_is_over(Lease&, Lease::Turn turn) noexcept override { turns.push_back(turn); }
  std::vector<Lease::Turn> turns;
};

// Those who wait behind a holder that never comes back hear of the end of the lease; and of a deletion.
TEST(HeldLease, TheSuccessorHearsOfTheEnd) {
  Engine engine;
  Heir heir;
  const auto lease = engine.hold("job", {.expiry = 1s});
  engine.session->renewer().watch(*lease);
  lease->set_successor({std::shared_ptr<void>{}, &heir});
  engine.world.run_for(2s);
  EXPECT_EQ(heir.turns, std::vector<Lease::Turn>{first_turn});

  Heir other;
  const auto deleted = engine.hold("other", {.expiry = 10s});
  engine.session->renewer().watch(*deleted);
  deleted->set_successor({std::shared_ptr<void>{}, &other});
  engine.world.run_for(100ms);
  deleted->pass();
  engine.world.server.remove("other");
  engine.world.run_for(1ms);
  EXPECT_EQ(other.turns, std::vector<Lease::Turn>{2});
}

// One that comes too late hears of it, too; one that has gone does not.
TEST(HeldLease, ASuccessorThatComesAfterTheLossHearsOfIt) {
  Engine engine;
  Heir heir;
  const auto lease = engine.hold("job", {.expiry = 1s});
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_for(2s);
  ASSERT_TRUE(is_lost(token));
  lease->set_successor({std::shared_ptr<void>{}, &heir});
  EXPECT_TRUE(heir.turns.empty());
  engine.world.run_for(1ms);
  EXPECT_EQ(heir.turns.size(), 1U);
}

// Also if nothing has been scheduled before.
TEST(HeldLease, ASuccessorHearsOfALossThatAnExtensionFound) {
  Engine engine;
  Heir heir;
  const auto lease = engine.hold("job", {.expiry = 10s});
  engine.world.server.keys.clear();
  const auto extension = lease->begin_extension(first_turn, 5s, protocol::Longer::goes);
  protocol::Extend machine{lease->key(), lease->id(), extension->terms};
  EXPECT_FALSE(engine.run(machine));
  const auto loss = lease->conclude_extension(machine, Lease::Went::answered);
  lease->set_successor({std::shared_ptr<void>{}, &heir});
  engine.session->renewer().watch(*lease);
  engine.world.run_for(1ms);
  EXPECT_EQ(heir.turns.size(), 1U);
}

}  // namespace
}  // namespace redismutex::engine
