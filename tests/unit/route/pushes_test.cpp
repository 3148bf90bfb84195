// What is asked for on a connection, and what a refusal means: sharded channels where there are some, plain ones elsewhere, none
// where neither may be had; and nothing is given up because a server was busy for a moment.

#include "route/pushes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/slot.hpp"
#include "unit/engine/fakes.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using net::Greeting;
using ::testing::MatchesRegex;
using Next = Pushes::Next;

const Greeting redis_6{.client_id = 1, .server = "redis", .version = {6, 2, 14}};
const Greeting redis_7{.client_id = 1, .server = "redis", .version = {7, 0, 0}};
const Greeting valkey{.client_id = 1, .server = "valkey", .version = {}};
const Greeting stranger{};

constexpr auto noperm = "NOPERM User alice has no permissions to access the 'redismutex:wake:x' channel";
constexpr auto unknown = "ERR unknown command 'SSUBSCRIBE', with args beginning with: 'redismutex:wake:x' ";

void expect_wanted(Pushes& pushes, std::uint64_t link, const std::string& subscribe, bool tracking) {
  const Pushes::Wanted wanted = pushes.wanted(link);
  EXPECT_EQ(wanted.subscribe, subscribe);
  EXPECT_EQ(wanted.channel, subscribe.empty() ? "" : pushes.mailbox().substr(1));
  EXPECT_EQ(wanted.tracking, tracking);
  EXPECT_EQ(pushes.incomplete(link), !subscribe.empty() || tracking);
}

/// The answer to what is wanted now.
Next subscribed(Pushes& pushes, std::uint64_t link, std::string_view error) {
  return pushes.subscribed(link, pushes.wanted(link), error);
}

/// Everything is granted.
void open(Pushes& pushes, std::uint64_t link) {
  EXPECT_EQ(subscribed(pushes, link, ""), Next::go_on);
  EXPECT_EQ(pushes.tracked(link, ""), Next::go_on);
}

// ---- channels -------------------------------------------------------------------------------------------------------

TEST(Pushes, TheNameOfAChannelIsShortAndNobodyElses) {
  Pushes pushes{operating_system()}, others{operating_system()};
  pushes.begin(1, redis_7);
  EXPECT_THAT(pushes.mailbox(), MatchesRegex("sredismutex:wake:[0-9A-Za-z]{10}"));
  EXPECT_EQ(pushes.mailbox(), pushes.mailbox());
  EXPECT_NE(pushes.mailbox(), others.mailbox());
  EXPECT_LE(37 + pushes.mailbox().size(), 64u) << "an id, a digit, and this make a place in line";
}

TEST(Pushes, TheKindOfTheChannelDependsOnTheServer) {
  Pushes pushes{operating_system()};
  for (const auto& [greeting, kind] : {std::pair{redis_6, 'p'}, {redis_7, 's'}, {valkey, 's'}, {stranger, 'p'}}) {
    static std::uint64_t link = 0;
    pushes.begin(++link, greeting);
    EXPECT_EQ(pushes.mailbox().front(), kind);
    expect_wanted(pushes, link, kind == 's' ? "SSUBSCRIBE" : "SUBSCRIBE", true);
  }
}

// Before the first connection there is only a guess; its name is kept.
TEST(Pushes, EachConnectionHasAChannelOfItsOwn) {
  Pushes pushes{operating_system()};
  const std::string guess = pushes.mailbox();
  pushes.begin(7, redis_6);
  EXPECT_EQ(pushes.mailbox().substr(1), guess.substr(1));
  open(pushes, 7);
  pushes.begin(8, redis_6);
  EXPECT_NE(pushes.mailbox().substr(1), guess.substr(1));
  expect_wanted(pushes, 8, "SUBSCRIBE", true);
}

// What comes of requests on a connection that is not the present one any more says nothing.
TEST(Pushes, AnOldConnectionDoesNotMatter) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  pushes.begin(8, redis_7);
  EXPECT_EQ(pushes.wanted(7).subscribe, "");
  EXPECT_FALSE(pushes.wanted(7).tracking);
  EXPECT_EQ(subscribed(pushes, 7, noperm), Next::go_on);
  EXPECT_EQ(pushes.tracked(7, noperm), Next::go_on);
  open(pushes, 7);
  expect_wanted(pushes, 8, "SSUBSCRIBE", true);
}

// ---- refusals -------------------------------------------------------------------------------------------------------

TEST(Pushes, WhatIsGrantedIsNotAskedForAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  EXPECT_EQ(subscribed(pushes, 7, ""), Next::go_on);
  expect_wanted(pushes, 7, "", true);
  EXPECT_EQ(pushes.tracked(7, ""), Next::go_on);
  expect_wanted(pushes, 7, "", false);
}

TEST(Pushes, ARefusalThatGoesByIsAskedAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  for (const auto* error : {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                            "LOADING Redis is loading the dataset in memory", "CLUSTERDOWN Hash slot not served",
                            "OOM command not allowed when used memory > 'maxmemory'.", "ERR something"}) {
    EXPECT_EQ(subscribed(pushes, 7, error), Next::go_on) << error;
    EXPECT_EQ(pushes.tracked(7, error), Next::go_on) << error;
    EXPECT_EQ(pushes.mailbox().front(), 's');
    EXPECT_TRUE(pushes.may_track());
    expect_wanted(pushes, 7, "SSUBSCRIBE", true);
  }
  open(pushes, 7);
  expect_wanted(pushes, 7, "", false);
}

// MOVED: a server of a cluster that has other sharded channels.
TEST(Pushes, AfterTheShardedChannelThePlainOneIsTried) {
  for (const auto* error : {noperm, unknown, "MOVED 5520 127.0.0.1:7001"}) {
    Pushes pushes{operating_system()};
    pushes.begin(7, redis_7);
    const std::string name = pushes.mailbox().substr(1);
    EXPECT_EQ(pushes.tracked(7, ""), Next::go_on);
    EXPECT_EQ(subscribed(pushes, 7, error), Next::ask_again) << error;
    EXPECT_EQ(pushes.mailbox(), "p" + name);
    expect_wanted(pushes, 7, "SUBSCRIBE", false);
    EXPECT_EQ(subscribed(pushes, 7, ""), Next::go_on);
    expect_wanted(pushes, 7, "", false);
  }
}

// Two threads asked for the sharded channel, and both are refused: that says nothing of the plain one.
TEST(Pushes, SeveralThreadsMayAskForTheSame) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  const Pushes::Wanted wanted = pushes.wanted(7), same = pushes.wanted(7);
  EXPECT_EQ(pushes.subscribed(7, wanted, noperm), Next::ask_again);
  EXPECT_EQ(pushes.subscribed(7, same, noperm), Next::ask_again);
  EXPECT_EQ(pushes.mailbox().front(), 'p');
  EXPECT_EQ(subscribed(pushes, 7, ""), Next::go_on);
  EXPECT_EQ(pushes.mailbox().front(), 'p');
}

TEST(Pushes, WhereNoChannelMayBeHadThereIsNoMailbox) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  EXPECT_EQ(subscribed(pushes, 7, noperm), Next::ask_again);
  EXPECT_EQ(subscribed(pushes, 7, noperm), Next::do_without);
  EXPECT_EQ(pushes.mailbox(), "-");
  expect_wanted(pushes, 7, "", true);
  pushes.begin(8, redis_7);
  EXPECT_EQ(pushes.mailbox().front(), 's') << "the next connection may have been given the right";
  expect_wanted(pushes, 8, "SSUBSCRIBE", true);
}

TEST(Pushes, WithoutTracking) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_6);
  EXPECT_TRUE(pushes.may_track());
  constexpr auto old = "ERR Unknown subcommand or wrong number of arguments for 'TRACKING'. Try CLIENT HELP.";
  EXPECT_EQ(pushes.tracked(7, old), Next::do_without);
  EXPECT_FALSE(pushes.may_track());
  expect_wanted(pushes, 7, "SUBSCRIBE", false);
  pushes.begin(8, redis_6);
  EXPECT_TRUE(pushes.may_track());
}

// ---- the server ends it ---------------------------------------------------------------------------------------------

TEST(Pushes, ASubscriptionThatTheServerEndedIsAskedForAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  const std::string name = pushes.mailbox().substr(1);
  EXPECT_FALSE(pushes.ended(name)) << "there was none yet";
  open(pushes, 7);
  EXPECT_FALSE(pushes.ended("redismutex:wake:another"));
  expect_wanted(pushes, 7, "", false);
  EXPECT_TRUE(pushes.ended(name));
  EXPECT_EQ(pushes.mailbox(), "s" + name);
  expect_wanted(pushes, 7, "SSUBSCRIBE", false);
  EXPECT_FALSE(pushes.ended(name));
  EXPECT_EQ(subscribed(pushes, 7, ""), Next::go_on);
  expect_wanted(pushes, 7, "", false);
}

// What the server sends of itself is told before the answers that came with it.
TEST(Pushes, ASubscriptionThatHadEndedBeforeItWasToldIsAskedForAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(7, redis_7);
  EXPECT_EQ(pushes.tracked(7, ""), Next::go_on);
  const Pushes::Wanted first = pushes.wanted(7), second = pushes.wanted(7);
  EXPECT_FALSE(pushes.ended(pushes.mailbox().substr(1))) << "those who have asked hear of it themselves";
  EXPECT_EQ(pushes.subscribed(7, first, ""), Next::ended);
  EXPECT_EQ(pushes.subscribed(7, second, ""), Next::ended) << "it may have been answered before, too";
  expect_wanted(pushes, 7, "SSUBSCRIBE", false);
  EXPECT_EQ(subscribed(pushes, 7, ""), Next::go_on);
  expect_wanted(pushes, 7, "", false);
}

// ---- in a cluster ---------------------------------------------------------------------------------------------------

constexpr std::uint16_t slot = 5061;

TEST(Pushes, EachSlotHasAChannelInIt) {
  Pushes pushes{operating_system()};
  pushes.begin(1, valkey);
  const std::string mailbox = pushes.mailbox(slot);
  EXPECT_THAT(mailbox, MatchesRegex("sredismutex:wake:[{][0-9a-z]+[}]:[0-9A-Za-z]{10}"));
  EXPECT_EQ(protocol::slot_of(mailbox.substr(1)), slot);
  EXPECT_LE(37 + mailbox.size(), 75U);
  const Pushes::Wanted wanted = pushes.wanted(1, slot);
  EXPECT_EQ(wanted.subscribe, "SSUBSCRIBE");
  EXPECT_EQ(wanted.channel, mailbox.substr(1));
  EXPECT_EQ(pushes.subscribed(1, wanted, ""), Next::go_on);
  EXPECT_EQ(pushes.tracked(1, ""), Next::go_on);
  EXPECT_FALSE(pushes.incomplete(1, slot));
  EXPECT_TRUE(pushes.incomplete(1, slot + 1));
  EXPECT_TRUE(pushes.wanted(1, slot + 1).channel != wanted.channel);
}

// The key is not there either, and its request goes on to where it is.
TEST(Pushes, AChannelOfASlotThatIsElsewhereIsNotGivenUp) {
  Pushes pushes{operating_system()};
  pushes.begin(1, valkey);
  EXPECT_EQ(pushes.subscribed(1, pushes.wanted(1, slot), "MOVED 5061 127.0.0.1:7001"), Next::go_on);
  EXPECT_EQ(pushes.wanted(1, slot).subscribe, "SSUBSCRIBE");
}

TEST(Pushes, AChannelThatMovesIsAskedForAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(1, valkey);
  EXPECT_EQ(pushes.subscribed(1, pushes.wanted(1, slot), ""), Next::go_on);
  EXPECT_EQ(pushes.tracked(1, ""), Next::go_on);
  EXPECT_FALSE(pushes.ended("redismutex:wake:{0}:somebody's"));
  EXPECT_EQ(pushes.ended(pushes.mailbox(slot).substr(1)), slot);
  EXPECT_TRUE(pushes.incomplete(1, slot));
}

TEST(Pushes, AChannelThatMovedBeforeItWasToldIsAskedForAgain) {
  Pushes pushes{operating_system()};
  pushes.begin(1, valkey);
  EXPECT_EQ(pushes.tracked(1, ""), Next::go_on);
  const Pushes::Use use{pushes, slot}, other_use{pushes, slot + 1};
  const Pushes::Wanted wanted = pushes.wanted(1, slot), other = pushes.wanted(1, slot + 1);
  EXPECT_FALSE(pushes.ended(wanted.channel));
  EXPECT_EQ(pushes.subscribed(1, wanted, ""), Next::ended);
  EXPECT_EQ(pushes.subscribed(1, other, ""), Next::go_on) << "that one has not moved";
  EXPECT_TRUE(pushes.incomplete(1, slot));
  EXPECT_EQ(pushes.subscribed(1, pushes.wanted(1, slot), ""), Next::go_on);
  EXPECT_FALSE(pushes.incomplete(1, slot));
}

// A change of a key is told without one.
TEST(Pushes, OnlyMessagesNeedTheChannelOfASlot) {
  Pushes pushes{operating_system()};
  pushes.begin(1, valkey);
  EXPECT_TRUE(pushes.incomplete(1, slot, Pushes::News::changes));
  const Pushes::Wanted wanted = pushes.wanted(1, slot, Pushes::News::changes);
  EXPECT_EQ(wanted.subscribe, "");
  EXPECT_TRUE(wanted.tracking);
  EXPECT_EQ(pushes.tracked(1, ""), Next::go_on);
  EXPECT_FALSE(pushes.incomplete(1, slot, Pushes::News::changes));
  EXPECT_TRUE(pushes.incomplete(1, slot));
}

// ---- channels that nobody uses --------------------------------------------------------------------------------------

class UnusedChannels : public ::testing::Test {
 protected:
  UnusedChannels() {
    pushes.begin(1, valkey);
    EXPECT_EQ(pushes.tracked(1, ""), Next::go_on);
  }

  void pass(std::chrono::milliseconds time) { environment.set(environment.now() + time); }

  /// Somebody waits for a message in the slot; what was given up for it.
  std::string use(std::uint16_t of) {
    uses.emplace_back(std::make_unique<Pushes::Use>(pushes, of));
    if (!pushes.incomplete(1, of)) return "";
    const Pushes::Wanted wanted = pushes.wanted(1, of);
    EXPECT_EQ(wanted.subscribe, "SSUBSCRIBE");
    EXPECT_EQ(pushes.subscribed(1, wanted, ""), Next::go_on);
    return wanted.unused;
  }
  std::string channel(std::uint16_t of) { return pushes.mailbox(of).substr(1); }

  engine::testing::FakeEnvironment environment;
  Pushes pushes{environment};
  std::vector<std::unique_ptr<Pushes::Use>> uses;
};

TEST_F(UnusedChannels, AreGivenUpAfterAMinuteAndOneAtATime) {
  use(1);
  use(2);
  use(3);
  uses.erase(uses.begin(), uses.begin() + 2);
  pass(59s);
  EXPECT_EQ(use(4), "");
  pass(20s);
  const std::string first = use(5), second = use(6);
  EXPECT_THAT((std::vector{first, second}), ::testing::UnorderedElementsAre(channel(1), channel(2)));
  EXPECT_EQ(use(7), "") << "somebody waits in the third";
  EXPECT_FALSE(pushes.given_up(1, first, ""));
  EXPECT_TRUE(pushes.incomplete(1, 1)) << "it is asked for again";
  EXPECT_TRUE(pushes.incomplete(1, 2));
  EXPECT_FALSE(pushes.incomplete(1, 3));
}

TEST_F(UnusedChannels, AreNotThoseThatWereUsedSince) {
  use(1);
  uses.clear();
  pass(50s);
  use(1);
  uses.clear();
  pass(50s);
  EXPECT_EQ(use(2), "");
  pass(20s);
  use(1);
  EXPECT_EQ(use(3), "") << "it is used at present";
}

// Both commands are on their way in this moment, and nobody knows in which order.
TEST_F(UnusedChannels, OneThatIsUsedInTheSameMomentIsAskedForOnceMore) {
  use(1);
  uses.clear();
  pass(70s);
  const std::string unused = use(2);
  EXPECT_EQ(unused, channel(1));
  use(1);
  EXPECT_FALSE(pushes.incomplete(1, 1));
  EXPECT_TRUE(pushes.given_up(1, unused, ""));
  EXPECT_TRUE(pushes.incomplete(1, 1));
}

// The same where the answers are told the other way round.
TEST_F(UnusedChannels, OneThatIsUsedInTheSameMomentIsAskedForOnceMoreWhoeverIsToldFirst) {
  use(1);
  uses.clear();
  pass(70s);
  const std::string unused = use(2);
  uses.emplace_back(std::make_unique<Pushes::Use>(pushes, 1));
  const Pushes::Wanted wanted = pushes.wanted(1, 1);
  EXPECT_TRUE(pushes.given_up(1, unused, ""));
  EXPECT_EQ(pushes.subscribed(1, wanted, ""), Next::ended);
  EXPECT_TRUE(pushes.incomplete(1, 1));
}

TEST_F(UnusedChannels, AreKeptWhereTheServerDoesNotLetThemGo) {
  use(1);
  use(2);
  uses.clear();
  pass(70s);
  const std::string unused = use(3);
  EXPECT_NE(unused, "");
  pushes.given_up(1, unused, "NOPERM User alice has no permissions to run the 'sunsubscribe' command");
  EXPECT_EQ(use(4), "");
}

// They belong to a connection.
TEST_F(UnusedChannels, OfTheLastConnectionAreNone) {
  use(1);
  use(2);
  uses.erase(uses.begin());
  pass(70s);
  pushes.begin(2, valkey);
  EXPECT_FALSE(pushes.given_up(1, channel(1), ""));
  EXPECT_EQ(pushes.tracked(2, ""), Next::go_on);
  EXPECT_EQ(pushes.wanted(2, 3).unused, "");
  EXPECT_TRUE(pushes.incomplete(2, 2));
  uses.clear();
}

TEST_F(UnusedChannels, OneThatTheServerEndedIsNoneEither) {
  use(1);
  EXPECT_EQ(pushes.ended(channel(1)), 1);
  uses.clear();
  pass(70s);
  EXPECT_EQ(use(2), "");
}

}  // namespace
}  // namespace redismutex::route
