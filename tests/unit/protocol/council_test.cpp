// A lock at several servers is won, kept and yielded by counting votes: each rule that keeps two from being inside, or all from waiting
// for each other, is broken by a council that counts otherwise.

#include "protocol/council.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using Verdict = Council::Verdict;

const Instant start{1h};

/// Five servers, three of which are a majority.
class CouncilTest : public ::testing::Test {
 protected:
  void hold(std::size_t server, Instant::duration lease = 7s, std::uint64_t token = 0) {
    council.held(server, {.valid_until = start + lease, .token = token}, now);
  }

  Instant now = start;
  Council council{5, 0};
};
using ACouncil = CouncilTest;

// ---- what is won ----------------------------------------------------------------------------------------------------

TEST_F(ACouncil, HasWonWithAMajorityOfTheVotesAndNotBefore) {
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(0);
  hold(4);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::won);
}

// Two of the three that can be reached are no majority: the two others may have voted for somebody else.
TEST_F(ACouncil, CountsAMajorityOfAllServersAndNotOfThoseThatAnswer) {
  council.away(3);
  council.away(4);
  hold(0);
  hold(1);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  council.waits(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::won);
}

TEST_F(ACouncil, CountsAServerOnce) {
  hold(0);
  hold(0);
  hold(0);
  EXPECT_EQ(council.verdict(now), Verdict::open);
}

// A majority stands until the first vote ends of those without which there is none: not until the last one ends, and not only until the
// very first does.
TEST_F(ACouncil, LastsAsLongAsAMajorityOfTheVotesDoes) {
  hold(0, 1s);
  hold(1, 2s);
  hold(2, 3s);
  hold(3, 4s);
  EXPECT_EQ(council.valid_until(), start + 2s);
  hold(4, 5s);
  EXPECT_EQ(council.valid_until(), start + 3s);
}

TEST_F(ACouncil, HasWonNothingWhenAVoteEndedMeanwhile) {
  hold(0, 10ms);
  hold(1);
  now += 10ms;
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(3);
  EXPECT_EQ(council.verdict(now), Verdict::won);
}

TEST(LastsUntil, IsTheEndOfTheOneThatCompletesTheMajority) {
  EXPECT_EQ(lasts_until({}, 1), Instant{});
  const std::vector<Instant> ends{start + 3s, start, start + 2s};
  EXPECT_EQ(lasts_until(ends, 1), start + 3s);
  EXPECT_EQ(lasts_until(ends, 2), start + 2s);
  EXPECT_EQ(lasts_until(ends, 3), start);
  EXPECT_EQ(lasts_until(ends, 4), Instant{});
}

// ---- votes that do not count ----------------------------------------------------------------------------------------

// The server may give the vote away in the moment in which it gets to read that: from then on somebody else may have it.
TEST_F(ACouncil, DoesNotCountAVoteFromWhenItIsYieldedUntilTheServerHasGivenItAgain) {
  hold(0);
  hold(1);
  council.yield(0);
  EXPECT_FALSE(council.is_held(0));
  EXPECT_FALSE(council.is_held(1));
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(1);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(0);
  EXPECT_EQ(council.verdict(now), Verdict::won);
}

// The server may have been restarted, empty, and have given the vote to somebody else.
TEST_F(ACouncil, DoesNotCountAVoteWhoseConnectionBrokeUntilTheServerWasAskedAgain) {
  hold(0);
  hold(1);
  council.asked(1);
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  hold(1);
  EXPECT_EQ(council.verdict(now), Verdict::won);
}

TEST_F(ACouncil, DoesNotCountAVoteThatSomebodyElseHasGot) {
  hold(0);
  hold(1);
  council.yield(0);
  council.waits(0);
  hold(1);
  hold(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
}

// ---- what can not be won --------------------------------------------------------------------------------------------

// Whoever waits on for a majority that is not there keeps the votes that it has from those who reach more servers.
TEST_F(ACouncil, GivesUpWhenTooFewServersAnswer) {
  hold(0);
  council.waits(1);
  council.away(2);
  council.away(3);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  council.away(4);
  EXPECT_EQ(council.verdict(now), Verdict::unreachable);
}

TEST_F(ACouncil, HopesForAServerThatHasNotAnsweredYet) {
  council.away(2);
  council.away(3);
  council.away(4);
  EXPECT_EQ(council.verdict(now), Verdict::unreachable);
  council.asked(4);
  EXPECT_EQ(council.verdict(now), Verdict::open);
}

TEST_F(ACouncil, SaysThatALockIsTakenWhenAMajorityHasAnswered) {
  hold(0);
  hold(1);
  council.taken(2);
  council.taken(3);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  council.taken(4);
  EXPECT_EQ(council.verdict(now), Verdict::taken);
}

// One taken, two held and two away: a majority has answered, and there is none to be had.
TEST_F(ACouncil, SaysThatALockIsTakenAlsoWhenSomeDoNotAnswer) {
  hold(0);
  hold(1);
  council.taken(2);
  council.away(3);
  council.away(4);
  EXPECT_EQ(council.verdict(now), Verdict::taken);
}

// One taken and two away: a majority can not give its votes any more. Whether one has answered is known when the others have.
TEST_F(ACouncil, DoesNotSayThatServersAreAwayThatHaveNotAnsweredYet) {
  council.taken(0);
  council.away(1);
  council.away(2);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  council.taken(3);
  EXPECT_EQ(council.verdict(now), Verdict::open);
  council.taken(4);
  EXPECT_EQ(council.verdict(now), Verdict::taken);
  council.asked(4);
  council.away(4);
  EXPECT_EQ(council.verdict(now), Verdict::unreachable);
}

TEST_F(ACouncil, KnowsWhenOthersHaveTheLock) {
  council.waits(0);
  council.taken(1);
  EXPECT_FALSE(council.meets_others());
  council.waits(2);
  EXPECT_TRUE(council.meets_others());
}

// ---- yields ---------------------------------------------------------------------------------------------------------

TEST_F(ACouncil, HasNothingToYieldWithoutAVote) {
  EXPECT_EQ(council.yields_at(), Instant::max());
  council.waits(0);
  EXPECT_EQ(council.yields_at(), Instant::max());
}

TEST_F(ACouncil, YieldsSoonAfterTheFirstVote) {
  hold(0);
  EXPECT_EQ(council.yields_at(), start + 2ms);
  now += 1ms;
  hold(1);
  EXPECT_EQ(council.yields_at(), start + 2ms);
}

// So that those that compete do not all do it in the same moment, over and over again.
TEST_F(ACouncil, YieldsAfterOneAndAFifthToOneAndFourFifthsRoundTrips) {
  for (std::size_t i = 0; i < 5; ++i) council.measured(i, 10ms);
  hold(0);
  EXPECT_EQ(council.yields_at(), start + 12ms);
  council.yield(60);
  EXPECT_EQ(council.yields_at(), Instant::max());
  now += 50ms;
  hold(0);
  EXPECT_EQ(council.yields_at(), now + 18ms);
  council.yield(61);
  hold(0);
  EXPECT_EQ(council.yields_at(), now + 12ms);
}

// Those of the servers that complete a majority: one that is far away, or slow once, does not count.
TEST_F(ACouncil, TakesTheRoundTripFromTheServersThatCompleteAMajority) {
  council.measured(0, 10ms);
  council.measured(1, 20ms);
  council.measured(2, 30ms);
  council.measured(3, 900ms);
  council.measured(4, 900ms);
  hold(0);
  EXPECT_EQ(council.yields_at(), start + 36ms);
  council.measured(2, 900ms);
  EXPECT_EQ(council.yields_at(), start + 36ms);
  council.measured(3, 15ms);
  EXPECT_EQ(council.yields_at(), start + 24ms);
}

TEST_F(ACouncil, TakesTheLongestKnownRoundTripAsLongAsNoMajorityHasAnswered) {
  council.measured(3, 10ms);
  hold(3);
  EXPECT_EQ(council.yields_at(), start + 12ms);
}

// ---- fencing tokens -------------------------------------------------------------------------------------------------

TEST_F(ACouncil, UsesTheHighestTokenOfTheVotes) {
  EXPECT_EQ(council.token(), 0U);
  hold(0, 7s, 300);
  hold(1, 7s, 500);
  hold(2, 7s, 400);
  EXPECT_EQ(council.token(), 500U);
  council.waits(1);
  EXPECT_EQ(council.token(), 400U);
}

}  // namespace
}  // namespace redismutex::protocol
