// A quorum knows by what its servers say whether one of them is there twice, and since when each runs.

#include "engine/quorum/roll.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "protocol/info.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::AskInfo;
using protocol::Instant;

const Instant now{100h};

AskInfo::Outcome says(const std::string& run_id, const std::string& uptime = "1000") {
  return AskInfo::Fields{{"redis_version", "7.0.15"}, {"run_id", run_id}, {"uptime_in_seconds", uptime}};
}

using Twins = std::optional<std::pair<std::size_t, std::size_t>>;

// ---- who they are ---------------------------------------------------------------------------------------------------

TEST(ARoll, KnowsWhoHasSpokenOnWhichConnection) {
  Roll roll{3, 0ms};
  EXPECT_FALSE(roll.knows(1, 1));
  roll.note(1, 7, says("a"), now);
  EXPECT_TRUE(roll.knows(1, 7));
  EXPECT_FALSE(roll.knows(1, 8)) << "another server may be there now";
  EXPECT_FALSE(roll.knows(0, 7));
}

TEST(ARoll, FindsTheServerThatIsThereTwice) {
  Roll roll{3, 0ms};
  roll.note(0, 1, says("a"), now);
  roll.note(1, 1, says("b"), now);
  EXPECT_EQ(roll.twins(), std::nullopt);
  roll.note(2, 1, says("a"), now);
  EXPECT_EQ(roll.twins(), (Twins{{0, 2}}));
  EXPECT_TRUE(roll.is_twin(0));
  EXPECT_FALSE(roll.is_twin(1));
  EXPECT_TRUE(roll.is_twin(2));
  roll.note(2, 2, says("c"), now);
  EXPECT_EQ(roll.twins(), std::nullopt) << "its address leads elsewhere now";
}

TEST(ARoll, TakesNoneForAnotherThatDoNotTell) {
  Roll roll{3, 0ms};
  for (const std::size_t server : {0U, 1U, 2U}) roll.note(server, 1, says(""), now);
  EXPECT_EQ(roll.twins(), std::nullopt);
  for (const std::size_t server : {0U, 1U}) roll.note(server, 2, protocol::Refusal{"NOPERM", "NOPERM no"}, now);
  EXPECT_EQ(roll.twins(), std::nullopt);
  EXPECT_FALSE(roll.is_twin(1));
}

TEST(ARoll, ForgetsThoseThatAreAway) {
  Roll roll{3, 0ms};
  roll.note(0, 3, says("a"), now);
  roll.note(1, 3, says("a"), now);
  roll.forget(0);
  EXPECT_EQ(roll.twins(), std::nullopt);
  EXPECT_FALSE(roll.knows(0, 3));
  roll.note(0, 4, says("a"), now);
  EXPECT_EQ(roll.twins(), (Twins{{0, 1}}));
}

// An answer may be read after that to a later question.
TEST(ARoll, KeepsWhatWasSaidLast) {
  Roll roll{3, 10s};
  roll.note(0, 4, says("new", "0"), now);
  roll.note(0, 3, says("old", "1000"), now);
  EXPECT_TRUE(roll.knows(0, 4));
  EXPECT_GT(roll.votes_from(0), now);
}

// ---- since when they run --------------------------------------------------------------------------------------------

TEST(ARoll, LetsAllVoteWithoutGrace) {
  Roll roll{3, 0ms};
  roll.note(0, 1, says("a", "0"), now);
  EXPECT_LT(roll.votes_from(0), now);
  roll.note(1, 1, protocol::Refusal{"NOPERM", "NOPERM no"}, now);
  EXPECT_LT(roll.votes_from(1), now);
}

// It counts whole seconds of a clock that may just have begun another one.
TEST(ARoll, LetsAServerVoteOnceItHasRunForTheGraceAndASecond) {
  Roll roll{3, 10s};
  roll.note(0, 1, says("a", "4"), now);
  EXPECT_EQ(roll.votes_from(0), now + 7s);
  roll.note(1, 1, says("b", "11"), now);
  EXPECT_EQ(roll.votes_from(1), now);
}

TEST(ARoll, RoundsTheGraceUp) {
  Roll roll{3, 1001ms};
  roll.note(0, 1, says("a", "1"), now);
  EXPECT_EQ(roll.votes_from(0), now + 2s);
}

TEST(ARoll, LetsNobodyVoteWhoDoesNotTell) {
  Roll roll{3, 10s};
  roll.note(0, 1, protocol::Refusal{"NOPERM", "NOPERM no"}, now);
  EXPECT_EQ(roll.votes_from(0), Instant::max());
  EXPECT_EQ(roll.refusal(0).code, "NOPERM");
  for (const std::string text : {"", "soon", "12 s", "-"}) {
    roll.note(1, 1, says("b", text), now);
    EXPECT_EQ(roll.votes_from(1), Instant::max()) << text;
    EXPECT_NE(roll.refusal(1).text, "") << text;
  }
}

}  // namespace
}  // namespace redismutex::engine
