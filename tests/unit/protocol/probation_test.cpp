// Which votes count that were given for a lock that was held already.

#include "protocol/probation.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "protocol/instant.hpp"

namespace redismutex::protocol {
namespace {

constexpr Instant at(int seconds) { return Instant{std::chrono::seconds{seconds}}; }

struct Vote {
  Instant added;
  Instant last_confirmed;
  bool counts = false;
  Instant confirmed() const { return last_confirmed; }
};

/// Of three servers: two were there at the beginning, and the third one voted after 10 s.
struct AVoteOnProbation : ::testing::Test {
  bool counts(std::size_t vote) {
    end_probation(std::span{votes}, 2);
    return votes[vote].counts;
  }

  std::vector<Vote> votes{{.added = at(1), .last_confirmed = at(1), .counts = true},
                          {.added = at(1), .last_confirmed = at(1), .counts = true},
                          {.added = at(10), .last_confirmed = at(10)}};
};

TEST_F(AVoteOnProbation, DoesNotCountWhileNobodyKnowsWhetherTheMajorityStood) { EXPECT_FALSE(counts(2)); }

TEST_F(AVoteOnProbation, DoesNotCountAsLongAsOneOfTheMajorityMayHaveBeenLostBefore) {
  votes[0].last_confirmed = at(20);
  EXPECT_FALSE(counts(2)) << "and its own word does not help";
  votes[1].last_confirmed = at(9);
  EXPECT_FALSE(counts(2)) << "that was asked before the vote was given";
}

TEST_F(AVoteOnProbation, CountsOnceTheMajorityIsKnownToHaveStood) {
  votes[0].last_confirmed = votes[1].last_confirmed = at(10);
  EXPECT_TRUE(counts(2));
  votes[0].last_confirmed = at(0);
  EXPECT_TRUE(counts(2)) << "for good";
}

TEST_F(AVoteOnProbation, HelpsOnlyThoseThatAreYounger) {
  votes.push_back({.added = at(15), .last_confirmed = at(15)});
  votes[0].last_confirmed = votes[2].last_confirmed = at(20);
  EXPECT_FALSE(counts(2));
  EXPECT_FALSE(counts(3)) << "of the two that stood at 15 s one is on probation itself";
  votes[1].last_confirmed = at(12);
  EXPECT_TRUE(counts(2));
  EXPECT_TRUE(counts(3)) << "the two that stood at 15 s count";
}

}  // namespace
}  // namespace redismutex::protocol
