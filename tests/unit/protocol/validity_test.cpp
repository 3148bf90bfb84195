#include "protocol/validity.hpp"

#include <gtest/gtest.h>

#include "protocol/lease.hpp"
#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

// A lease as its server has it is compared with what the client counts on, for the orders in which extensions may be sent,
// carried out and answered.
namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// One extension under way.
struct Extension {
  Extension(milliseconds expiry, Longer longer, Instant at)
      : machine{key, id, {.expiry = expiry, .longer = longer}}, sent_at{at} {
    machine.start(at);
  }
  Extend& answered(Instant now) {
    machine.answered(integers({1}, {.sent_at = sent_at, .now = now}));
    return machine;
  }
  Extend machine;
  Instant sent_at;
};

Extension exact(Validity& validity, milliseconds expiry, Instant now) {
  validity.begin({.expiry = expiry, .longer = Longer::goes}, now);
  return {expiry, Longer::goes, now};
}

Extension renewal(Validity& validity, milliseconds expiry, Instant now) {
  validity.begin({.expiry = expiry}, now);
  return {expiry, Longer::stays, now};
}

Validity ten_seconds() { return {valid_until(at(0s), 10s), false}; }

// A renewal counts from when it was sent, and does not shorten.
TEST(Validity, ARenewalCountsFromItsSending) {
  Validity validity = ten_seconds();
  Extension longer = renewal(validity, 10s, at(3s));
  EXPECT_EQ(validity.until(), valid_until(at(0s), 10s));
  validity.conclude(longer.answered(at(4s)), at(4s));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 10s));

  Extension shorter = renewal(validity, 1s, at(5s));
  validity.conclude(shorter.answered(at(6s)), at(6s));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 10s));
}

// No extension counts for longer than was confirmed, and none shortens what others are good for.
TEST(Validity, ItCountsAsLongAsIsConfirmed) {
  Validity validity = ten_seconds();
  Extension longer = renewal(validity, 10s, at(3s));
  validity.conclude(longer.answered(at(4s)), at(4s), at(12s));
  EXPECT_EQ(validity.until(), at(12s));
  validity.renewed(10s, at(3500ms), at(11s));
  EXPECT_EQ(validity.until(), at(12s));
  Extension shorter = exact(validity, 5s, at(5s));
  validity.conclude(shorter.answered(at(6s)), at(6s), at(9s));
  EXPECT_EQ(validity.until(), at(9s));
  validity.renewed(10s, at(7s), at(100s));
  EXPECT_EQ(validity.until(), valid_until(at(7s), 10s)) << "it makes none longer";
}

// One that may shorten does so from when it is sent, because it may be carried out at any time.
TEST(Validity, AShorterLeaseCountsBeforeItsAnswer) {
  Validity validity = ten_seconds();
  Extension shorter = exact(validity, 1s, at(3s));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 1s));
  validity.conclude(shorter.answered(at(3500ms)), at(3500ms));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 1s));
}

// A longer one does not count before its answer.
TEST(Validity, ALongerLeaseCountsFromItsAnswer) {
  Validity validity = ten_seconds();
  Extension longer = exact(validity, 60s, at(3s));
  EXPECT_EQ(validity.until(), valid_until(at(0s), 10s));
  validity.conclude(longer.answered(at(4s)), at(4s));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 60s));
}

// A renewal that was sent before a shortening one, and is taken in after it, may have been carried out before it.
TEST(Validity, ARenewalThatIsTakenInLateBringsNothingBack) {
  Validity validity = ten_seconds();
  Extension early = renewal(validity, 10s, at(1s));
  Extension shorter = exact(validity, 1s, at(2s));
  validity.conclude(shorter.answered(at(2100ms)), at(2100ms));
  validity.conclude(early.answered(at(2200ms)), at(2200ms));
  EXPECT_LE(validity.until(), valid_until(at(2s), 1s));

  // One that was sent behind its answer is as good as ever.
  Extension late = renewal(validity, 10s, at(2300ms));
  validity.conclude(late.answered(at(2400ms)), at(2400ms));
  EXPECT_EQ(validity.until(), valid_until(at(2300ms), 10s));
}

// While a shortening one is under way, a renewal is good for no more than it.
TEST(Validity, ARenewalMayBeOvertakenByAShorterLease) {
  Validity validity = ten_seconds();
  Extension shorter = exact(validity, 1s, at(2s));
  Extension between = renewal(validity, 10s, at(2100ms));
  validity.conclude(between.answered(at(2200ms)), at(2200ms));
  EXPECT_EQ(validity.until(), valid_until(at(2100ms), 1s));
}

// One whose answer never came may arrive behind anything, however late: no lease of this owner's is longer from then on.
TEST(Validity, AnUnansweredShorterLeaseIsNeverForgotten) {
  Validity validity = ten_seconds();
  exact(validity, 1s, at(2s));
  validity.lose_sight({.expiry = 1s, .longer = Longer::goes});
  EXPECT_TRUE(validity.may_shorten());
  Extension next = exact(validity, 20s, at(5s));
  validity.conclude(next.answered(at(5100ms)), at(5100ms));
  EXPECT_EQ(validity.until(), valid_until(at(5s), 1s));
  Extension later = renewal(validity, 10s, at(5500ms));
  validity.conclude(later.answered(at(5600ms)), at(5600ms));
  EXPECT_EQ(validity.until(), valid_until(at(5500ms), 1s));
}

// The same for one that was answered only when it was repeated: the first attempt may arrive yet.
TEST(Validity, ARepeatedShorterLeaseIsNeverForgotten) {
  Validity validity = ten_seconds();
  Extension shorter = exact(validity, 1s, at(2s));
  shorter.machine.unanswered();
  validity.conclude(shorter.answered(at(2500ms)), at(2500ms));
  Extension later = renewal(validity, 10s, at(2600ms));
  validity.conclude(later.answered(at(2700ms)), at(2700ms));
  EXPECT_EQ(validity.until(), valid_until(at(2600ms), 1s));
}

// One that was never sent changes nothing, now or later.
TEST(Validity, AShorterLeaseThatNeverLeftIsForgotten) {
  Validity validity = ten_seconds();
  validity.begin({.expiry = 1s, .longer = Longer::goes}, at(2s));
  EXPECT_EQ(validity.until(), valid_until(at(2s), 1s));
  validity.take_back({.expiry = 1s, .longer = Longer::goes});
  EXPECT_EQ(validity.until(), valid_until(at(0s), 10s));
  EXPECT_FALSE(validity.may_shorten());
  Extension next = exact(validity, 60s, at(3s));
  validity.conclude(next.answered(at(4s)), at(4s));
  EXPECT_EQ(validity.until(), valid_until(at(3s), 60s));
}

// What was learnt before it was taken back counts in full; and a loss is a loss.
TEST(Validity, WhatCameMeanwhileCountsInFull) {
  const Extend::Terms shorter{.expiry = 1s, .longer = Longer::goes};
  Validity validity = ten_seconds();
  validity.begin(shorter, at(2s));
  validity.renewed(10s, at(2500ms));
  EXPECT_EQ(validity.until(), valid_until(at(2500ms), 1s));
  validity.take_back(shorter);
  EXPECT_EQ(validity.until(), valid_until(at(2500ms), 10s));

  validity.begin(shorter, at(3s));
  validity.gone();
  validity.take_back(shorter);
  EXPECT_LT(validity.until(), at(0s));
}

// It does not make up for the one before, which was sent and never answered.
TEST(Validity, TakingBackOneLeavesTheOthersInDoubt) {
  const Extend::Terms shorter{.expiry = 5s, .longer = Longer::goes};
  Validity validity = ten_seconds();
  exact(validity, 2s, at(1s));
  validity.lose_sight({.expiry = 2s, .longer = Longer::goes});
  validity.begin(shorter, at(2s));
  validity.take_back(shorter);
  EXPECT_EQ(validity.until(), valid_until(at(1s), 2s));
  Extension later = renewal(validity, 10s, at(2500ms));
  validity.conclude(later.answered(at(2600ms)), at(2600ms));
  EXPECT_EQ(validity.until(), valid_until(at(2500ms), 2s));
}

// Of two that are under way together the one that was answered says nothing about the other, which may be carried out last: whichever was
// begun first.
TEST(Validity, OfSeveralShorterLeasesTheShortestCounts) {
  for (const bool short_one_first : {true, false}) {
    Validity validity = ten_seconds();
    Extension first = exact(validity, short_one_first ? 1s : 60s, at(1s));
    Extension second = exact(validity, short_one_first ? 60s : 1s, at(1s));
    validity.conclude(first.answered(at(1100ms)), at(1100ms));
    EXPECT_EQ(validity.until(), valid_until(at(1s), 1s));
    Extension between = renewal(validity, 10s, at(1200ms));
    validity.conclude(between.answered(at(1300ms)), at(1300ms));
    EXPECT_EQ(validity.until(), valid_until(at(1200ms), 1s));
    validity.conclude(second.answered(at(1400ms)), at(1400ms));
    EXPECT_EQ(validity.until(), valid_until(at(1200ms), 1s));
    EXPECT_FALSE(validity.may_shorten());

    // Both are over, and leave no doubt.
    Extension next = exact(validity, 60s, at(1500ms));
    validity.conclude(next.answered(at(1600ms)), at(1600ms));
    EXPECT_EQ(validity.until(), valid_until(at(1500ms), 60s));
  }
}

// In doubt is not under way.
TEST(Validity, OneThatWasRepeatedAndAnsweredShortensNothingMore) {
  Validity validity = ten_seconds();
  Extension shorter = exact(validity, 1s, at(2s));
  shorter.machine.unanswered();
  validity.conclude(shorter.answered(at(2500ms)), at(2500ms));
  EXPECT_FALSE(validity.may_shorten());
}

// The answer to the longer one comes, that to the shorter one never does: it may be carried out at any time.
TEST(Validity, AnUnansweredOneOfSeveralIsNotForgottenEither) {
  Validity validity = ten_seconds();
  Extension longer = exact(validity, 60s, at(1s));
  exact(validity, 1s, at(1s));
  validity.conclude(longer.answered(at(1100ms)), at(1100ms));
  validity.lose_sight({.expiry = 1s, .longer = Longer::goes});
  EXPECT_EQ(validity.until(), valid_until(at(1s), 1s));
  Extension later = renewal(validity, 10s, at(1500ms));
  validity.conclude(later.answered(at(1600ms)), at(1600ms));
  EXPECT_EQ(validity.until(), valid_until(at(1500ms), 1s));
}

// Nobody knows what the lease would be without one of them.
TEST(Validity, TakingBackOneOfSeveralLengthensNothing) {
  Validity validity = ten_seconds();
  Extension longer = exact(validity, 20s, at(1s));
  exact(validity, 1s, at(1s));
  validity.take_back({.expiry = 1s, .longer = Longer::goes});
  EXPECT_EQ(validity.until(), valid_until(at(1s), 1s));
  validity.conclude(longer.answered(at(1100ms)), at(1100ms));
  Extension later = renewal(validity, 10s, at(1500ms));
  validity.conclude(later.answered(at(1600ms)), at(1600ms));
  EXPECT_EQ(validity.until(), valid_until(at(1500ms), 10s));
}

// The short lease of a hand-over is one until any extension is answered.
TEST(Validity, AClaimEndsWithAnAnswer) {
  Validity validity{valid_until(at(0s), 1s), true};
  EXPECT_TRUE(validity.is_claim());
  Extension full = renewal(validity, 10s, at(1ms));
  EXPECT_TRUE(validity.is_claim());
  validity.conclude(full.answered(at(2ms)), at(2ms));
  EXPECT_FALSE(validity.is_claim());
  EXPECT_EQ(validity.until(), valid_until(at(1ms), 10s));
}

// Lost is lost: told by an extension, or otherwise.
TEST(Validity, ALostLockIsOverAtOnce) {
  Validity told = ten_seconds();
  Extension refused = renewal(told, 10s, at(1s));
  refused.machine.answered(integers({0}));
  told.conclude(refused.machine, at(1s));
  EXPECT_LT(told.until(), at(0s));

  Validity heard{valid_until(at(0s), 1s), true};
  heard.gone();
  EXPECT_LT(heard.until(), at(0s));
  EXPECT_TRUE(heard.is_claim()) << "it never became more";
}

// A refusal leaves the lease as it was, for all that is known.
TEST(Validity, ARefusalChangesNothing) {
  Validity validity = ten_seconds();
  Extension refused = renewal(validity, 10s, at(1s));
  refused.machine.answered(error("OOM command not allowed"));
  validity.conclude(refused.machine, at(1s));
  EXPECT_EQ(validity.until(), valid_until(at(0s), 10s));
}

}  // namespace
}  // namespace redismutex::protocol
