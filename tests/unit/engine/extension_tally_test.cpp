// When an extension at a quorum is over, and what it has come to.

#include <gtest/gtest.h>

#include "engine/quorum/quorum_extending.hpp"

namespace redismutex::engine {
namespace {

using Verdict = ExtensionTally::Verdict;

/// Of five servers, which have all given their votes.
ExtensionTally five() { return {.majority = 3, .asked = 5, .still_open = 5, .lasts = true}; }

TEST(AnExtension, IsOpenAsLongAsThereMayBeAMajority) {
  ExtensionTally tally = five();
  EXPECT_EQ(tally.verdict(), Verdict::open);
  tally.extended = 2;
  tally.still_open = 1;
  EXPECT_EQ(tally.verdict(), Verdict::open);
}

TEST(AnExtension, IsOverWithAMajority) {
  ExtensionTally tally = five();
  tally.extended = 3;
  tally.still_open = 2;
  EXPECT_EQ(tally.verdict(), Verdict::extended);
}

TEST(AnExtension, IsLostWhereAMajorityKnowsNothingOfIt) {
  ExtensionTally tally = five();
  tally.gone = 2;
  tally.still_open = 3;
  EXPECT_EQ(tally.verdict(), Verdict::open);
  tally.gone = 3;
  tally.still_open = 2;
  EXPECT_EQ(tally.verdict(), Verdict::lost);
}

TEST(AnExtension, IsUnansweredWithoutAMajority) {
  ExtensionTally tally = five();
  tally.extended = 2;
  tally.still_open = 0;
  EXPECT_EQ(tally.verdict(), Verdict::unanswered);
  tally.lasts_as_wanted = true;
  EXPECT_EQ(tally.verdict(), Verdict::extended) << "the renewer has seen to it";
}

// Found by the simulator: there was nothing left to wait for, and it was waited for.
TEST(AnExtension, LapsesWhereAMajorityExtendedAndThenLostIt) {
  ExtensionTally tally = five();
  tally.extended = 3;
  tally.lasts = false;
  tally.still_open = 2;
  EXPECT_EQ(tally.verdict(), Verdict::open);
  tally.still_open = 0;
  EXPECT_EQ(tally.verdict(), Verdict::lapsed);
}

}  // namespace
}  // namespace redismutex::engine
