// What counts only when replicas have received it: acquisitions, extensions and renewals, and how those who ask share their questions.

#include "engine/lane.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/lease.hpp"
#include "unit/engine/callers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using testing::Caller;
using testing::Drive;
using ::testing::HasSubstr;
using testing::Process;
using testing::Reply;
using testing::wishes;
using Kind = route::Failure::Kind;
using protocol::Instant;

class LaneTest : public ::testing::Test {
 protected:
  explicit LaneTest(Process::Kind kind = Process::Kind::single) : process{kind} {
    server.replicas = server.connected = 2;
  }

  Wishes wanting(Replicas replicas, std::chrono::milliseconds limit = 30s) {
    Wishes wants = wishes(process.now() + limit);
    wants.replicas = replicas;
    return wants;
  }

  std::unique_ptr<Caller> start(Wishes wants, const std::string& key = "key") {
    auto caller = std::make_unique<Caller>(process, std::move(wants), key);
    caller->start();
    return caller;
  }
  std::unique_ptr<Caller> finish(Wishes wants, const std::string& key = "key") {
    auto caller = start(std::move(wants), key);
    EXPECT_TRUE(world.run_until_is([&] { return caller->is_over(); }));
    return caller;
  }

  Extending::Outcome extend(Caller& caller, Extending::Terms terms) {
    Extending extending{process.session, caller.granted().lease, caller.granted().turn, terms};
    bool over = false;
    Drive drive{world, extending, [&over] { over = true; }};
    drive.start();
    EXPECT_TRUE(world.run_until_is([&over] { return over; }));
    return extending.outcome();
  }

  /// One that has received the lock, and none of what was written of it since: it lasts for so long.
  void another_takes_over(std::chrono::milliseconds left) {
    server.keys.at("key").until = process.now() + left;
    server.replicas = 2;
    world.break_link();
  }

  void refuse_to_count() {
    server.answers_instead = [](const testing::FakeServer::Words& words) -> std::optional<Reply> {
      if (words.front() == "INFO") return Reply::error("NOPERM this user has no permissions to run the 'info' command");
      return std::nullopt;
    };
  }

  void expect_free(const std::string& key = "key") {
    EXPECT_TRUE(world.run_until_is([&] { return !server.keys.contains(key); }, 1s));
  }

  Process process;
  testing::World& world = process.world;
  testing::FakeServer& server = process.server();
};

// ---- acquisitions ---------------------------------------------------------------------------------------------------

// The lease counts from the request that took the lock, not from when the replicas were heard of.
TEST_F(LaneTest, ALockCountsWhenTheyHaveIt) {
  finish(wanting(0), "another");  // so there is a connection
  server.round_trip = 100ms;
  const Instant sent_at = process.now();
  const auto caller = finish(wanting(2));
  ASSERT_TRUE(caller->has_it());
  EXPECT_EQ(process.now(), sent_at + 200ms);
  EXPECT_EQ(caller->granted().lease->valid_until(caller->granted().turn), protocol::valid_until(sent_at, 7s));
  EXPECT_EQ(server.count("witness"), 1);
  EXPECT_EQ(server.count("WAIT"), 1);
}

TEST_F(LaneTest, OffItIsNothing) {
  const auto caller = finish(wanting(0));
  ASSERT_TRUE(caller->has_it());
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, {.expiry = 9s})));
  EXPECT_EQ(server.count("witness") + server.count("WAIT") + server.count("INFO"), 0);
}

TEST_F(LaneTest, ALockThatTooFewHaveIsGivenBack) {
  server.replicas = 1;
  const Instant began = process.now();
  const auto caller = finish(wanting(2));
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_EQ(caller->refusal().code, "NOREPLICAS");
  EXPECT_THAT(caller->refusal().text, HasSubstr("1 of the 2 replicas"));
  EXPECT_LE(process.now(), began + 1s + 10ms) << "as long as a connection may take";
  EXPECT_GE(process.now(), began + 900ms);
  EXPECT_GE(server.count("WAIT"), 4) << "none of them takes so long that the connection counts as broken";
  expect_free();
}

// Also where the lease is short.
TEST_F(LaneTest, NobodyWaitsForMoreThanAQuarterOfTheLease) {
  server.replicas = 0;
  Wishes wants = wanting(1);
  wants.expiry = 400ms;
  const Instant began = process.now();
  EXPECT_TRUE(finish(wants)->is<protocol::Refusal>());
  EXPECT_LE(process.now(), began + 101ms);
}

TEST_F(LaneTest, TheTimeOfTheCallerIsKept) {
  server.replicas = 0;
  const Instant began = process.now();
  EXPECT_TRUE(finish(wanting(1, 50ms))->is<protocol::Refusal>());
  EXPECT_LE(process.now(), began + 51ms);
}

// It counts from the moment in which the replicas hear of it again.
TEST_F(LaneTest, TheyMayComeBackMeanwhile) {
  server.replicas = 0;
  const auto caller = start(wanting(1));
  world.run_for(300ms);
  EXPECT_FALSE(caller->is_over());
  server.replicas = 1;
  world.run_for(300ms);
  EXPECT_TRUE(caller->has_it());
}

TEST_F(LaneTest, APartIsOfTheMostThatWereSeen) {
  EXPECT_TRUE(finish(wanting(Replicas::all))->has_it());
  server.replicas = server.connected = 1;
  world.run_for(2s);
  const auto caller = finish(wanting(Replicas::all));
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_THAT(caller->refusal().text, HasSubstr("1 of the 2 replicas"));
  expect_free();
  server.connected = server.replicas = 3;
  world.run_for(2s);
  EXPECT_TRUE(finish(wanting(Replicas::all))->has_it());
}

TEST_F(LaneTest, APartOfNoneIsNoPass) {
  server.connected = 0;
  for (const Replicas wanted : {Replicas::majority, Replicas::all}) {
    const auto caller = finish(wanting(wanted));
    ASSERT_TRUE(caller->is<protocol::Refusal>());
    EXPECT_EQ(caller->refusal().code, "NOREPLICAS");
    EXPECT_THAT(caller->refusal().text, HasSubstr("it has none"));
    expect_free();
  }
}

TEST_F(LaneTest, AMajorityIsMoreThanHalf) {
  for (const auto& [configured, wanted] : {std::pair{1, 1}, std::pair{2, 2}, std::pair{3, 2}, std::pair{4, 3}}) {
    Process another;
    another.server().connected = configured;
    another.server().replicas = wanted - 1;
    Wishes wants = wishes(another.now() + 30s);
    wants.replicas = Replicas::majority;
    Caller caller{another, wants};
    caller.start();
    another.world.run_for(500ms);
    EXPECT_FALSE(caller.is_over()) << configured;
    another.server().replicas = wanted;
    another.world.run_for(500ms);
    EXPECT_TRUE(caller.has_it()) << configured;
  }
}

TEST_F(LaneTest, WhatTheServerRefusesIsToldAtOnce) {
  server.answers_instead = [](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "WAIT") return Reply::error("NOPERM this user has no permissions to run the 'wait' command");
    return std::nullopt;
  };
  const Instant began = process.now();
  const auto caller = finish(wanting(1));
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_EQ(caller->refusal().code, "NOPERM");
  EXPECT_LT(process.now(), began + 10ms);
  expect_free();
}

// It looks at the rights to all keys of a command before it begins.
TEST_F(LaneTest, WhatTheServerRefusesForOneIsToldToNoOther) {
  server.round_trip = 10ms;
  server.answers_instead = [](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if (words.size() > 1 && words.at(1) == protocol::scripts::witness.sha1 &&
        std::find(words.begin(), words.end(), "forbidden") != words.end())
      return Reply::error("NOPERM No permissions to access a key");
    return std::nullopt;
  };
  const auto first = start(wanting(1), "first");
  std::vector<std::unique_ptr<Caller>> others;  // they ask together, behind it
  for (const std::string key : {"one", "forbidden", "two"}) others.push_back(start(wanting(1), key));
  EXPECT_TRUE(world.run_until_is(
      [&] { return std::all_of(others.begin(), others.end(), [](const auto& caller) { return caller->is_over(); }); }));
  EXPECT_TRUE(others[0]->has_it());
  EXPECT_TRUE(others[2]->has_it());
  ASSERT_TRUE(others[1]->is<protocol::Refusal>());
  EXPECT_EQ(others[1]->refusal().code, "NOPERM");
}

// How many replicas there are is no matter of those that want a number of them.
TEST_F(LaneTest, WhatIsCountedInVainConcernsNobodyElse) {
  server.round_trip = 10ms;
  refuse_to_count();
  const auto first = start(wanting(1), "first");
  const auto one = start(wanting(1), "one");
  const auto part = start(wanting(Replicas::majority), "part");
  const auto two = start(wanting(2), "two");
  // There is always another one that asks in vain.
  std::vector<std::unique_ptr<Caller>> more;
  for (int i = 0; i < 100; ++i) {
    more.push_back(start(wanting(Replicas::all), "more " + std::to_string(i)));
    world.run_for(2ms);
  }
  EXPECT_TRUE(one->has_it());
  EXPECT_TRUE(two->has_it());
  ASSERT_TRUE(part->is<protocol::Refusal>());
  EXPECT_EQ(part->refusal().code, "NOPERM");
}

// Nor do those hold up anybody that were with one that asks for a part, and want more than there are.
TEST_F(LaneTest, AfterAVainCountAllGoTogether) {
  server.replicas = server.connected = 1;
  refuse_to_count();
  const auto first = start(wanting(2), "first");
  const auto more = start(wanting(2), "more");
  const auto part = start(wanting(Replicas::majority), "part");
  world.run_for(300ms);
  ASSERT_TRUE(part->is<protocol::Refusal>());
  for (int i = 0; i < 2; ++i) {
    Wishes hasty = wanting(1);
    hasty.expiry = 1200ms;
    EXPECT_TRUE(finish(hasty, "hasty " + std::to_string(i))->has_it());
  }
  EXPECT_FALSE(first->is_over());
  EXPECT_FALSE(more->is_over());
}

// There may be more of them than are asked for at once.
TEST_F(LaneTest, ThoseThatAskInVainHoldUpNobody) {
  server.replicas = 1;
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 300; ++i) callers.push_back(start(wanting(2), "key " + std::to_string(i)));
  const auto one = start(wanting(1), "one");
  world.run_for(600ms);
  EXPECT_TRUE(one->has_it());
  EXPECT_FALSE(callers.front()->is_over());
}

// What was not asked in time is known of none.
TEST_F(LaneTest, OneThatWasNotAskedInTimeSaysSo) {
  server.replicas = 0;
  const auto first = start(wanting(2), "first");
  const auto one = finish(wanting(1, 100ms), "one");
  ASSERT_TRUE(one->is<protocol::Refusal>());
  EXPECT_THAT(one->refusal().text, HasSubstr("0 of the 1 replicas"));
}

// It is told at once, and not when others are over that were asked for with it.
TEST_F(LaneTest, APartOfNoneWaitsForNobody) {
  server.connected = server.replicas = 0;
  const auto first = start(wanting(1), "first");
  const auto part = start(wanting(Replicas::majority), "part");
  const auto number = start(wanting(2), "number");
  world.run_for(300ms);
  ASSERT_TRUE(part->is<protocol::Refusal>());
  EXPECT_THAT(part->refusal().text, HasSubstr("it has none"));
  EXPECT_FALSE(number->is_over());
  server.replicas = 2;
  world.run_for(300ms);
  EXPECT_TRUE(number->has_it());
}

// The server that is asked may be another one than the one that granted it, as in a failover.
TEST_F(LaneTest, ALockThatIsNotThereDoesNotCount) {
  server.answers_instead = [](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if (words.size() > 1 && words.at(1) == protocol::scripts::witness.sha1) return Reply::list({0});
    return std::nullopt;
  };
  const auto caller = finish(wanting(1));
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_THAT(caller->refusal().text, HasSubstr("does not have it"));
  expect_free();
}

// Nor does it count where it has the lock by an older request, for less time.
TEST_F(LaneTest, ALockThatEndsBeforeDoesNotCount) {
  finish(wanting(0), "another");
  server.replicas = 0;
  const auto caller = start(wanting(1));
  world.run_until_is([&] { return server.count("WAIT") > 0; });
  another_takes_over(2s);
  world.run_for(300ms);
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_THAT(caller->refusal().text, HasSubstr("not for as long"));
  expect_free();
}

// An answer that is long on its way tells less of the lease. What it tells is enough, however often that is so.
TEST_F(LaneTest, AnAnswerThatIsLongOnItsWayMakesTheLeaseShorter) {
  finish(wanting(0), "another");
  const Instant sent_at = process.now();
  const auto caller = start(wanting(1));
  world.run_until_is([&] { return server.count("SET") == 2; });
  server.round_trip = 200ms;
  world.run_until_is([&] { return caller->is_over(); });
  ASSERT_TRUE(caller->has_it());
  const Instant until = caller->granted().lease->valid_until(caller->granted().turn);
  EXPECT_LT(until, protocol::valid_until(sent_at, 7s) - 60ms);
  EXPECT_GT(until, protocol::valid_until(sent_at, 7s) - 102ms) << "by one way";
  EXPECT_EQ(server.count("WAIT"), 1);
}

TEST_F(LaneTest, TheConnectionMayBreakMeanwhile) {
  server.replicas = 0;
  const auto caller = start(wanting(1));
  world.run_for(100ms);
  world.break_link();
  server.replicas = 1;
  world.run_for(100ms);
  EXPECT_TRUE(caller->has_it());
}

TEST_F(LaneTest, AServerThatSaysNothingConfirmsNothing) {
  finish(wanting(0), "another");
  const auto caller = start(wanting(1));
  world.run_until_is([&] { return server.count("SET") == 2; });
  world.run_for(server.round_trip / 2);
  server.deaf = true;
  EXPECT_TRUE(world.run_until_is([&] { return caller->is_over(); }, 2s));
  EXPECT_FALSE(caller->has_it());
  server.deaf = false;
  expect_free();
}

TEST_F(LaneTest, OneThatIsStoppedHoldsNothing) {
  server.replicas = 0;
  const auto caller = start(wanting(1));
  world.run_for(100ms);
  caller->stop();
  world.run_for(1ms);
  EXPECT_EQ(caller->failure().kind, Kind::cancelled);
  expect_free();
}

// ---- two masters ----------------------------------------------------------------------------------------------------

/// Sentinels name the server. They do not all hear at once of a new one.
class LaneAtAnother : public LaneTest {
 protected:
  LaneAtAnother() : LaneTest{Process::Kind::named_by_sentinels} {
    world.known.on_lane([this]() -> route::Server& { return lane; });
    world.peer = "new";
    world.connect();
  }
  void lane_leads_to(const std::string& peer) { lane.begin(++link, {}, peer); }

  route::Server lane{world.environment, "lane", [](std::string_view) {}, true};
  std::uint64_t link = 1000;
};

// What another server has to say of it is waited out until both connections lead to the same one.
TEST_F(LaneAtAnother, NobodyIsAskedThere) {
  lane_leads_to("old");
  const auto caller = start(wanting(1));
  const auto part = start(wanting(Replicas::majority), "part");
  world.run_for(300ms);
  EXPECT_FALSE(caller->is_over());
  EXPECT_EQ(server.count("witness") + server.count("INFO"), 0);
  lane_leads_to("new");
  world.run_for(100ms);
  EXPECT_TRUE(caller->has_it());
  EXPECT_TRUE(part->has_it());
}

// It may be right by then, so it is not left.
TEST_F(LaneAtAnother, NobodyIsAskedWhileTheServerIsReplaced) {
  lane_leads_to("new");
  EXPECT_TRUE(finish(wanting(1), "another")->has_it());
  const std::uint64_t link_before = server.link;
  world.known.note_replaced(link_before);
  const auto caller = start(wanting(1));
  world.run_for(200ms);
  EXPECT_FALSE(caller->is_over());
  EXPECT_EQ(server.count("witness"), 1);
  EXPECT_EQ(server.link, link_before);
  world.connect();
  EXPECT_TRUE(world.run_until_is([&] { return caller->is_over(); }, 200ms));
  EXPECT_TRUE(caller->has_it());
}

// It is no word of a server's that it is left, so it is told as what it is; and whoever has more time goes on.
TEST_F(LaneAtAnother, ThatItIsLeftIsNoRefusal) {
  lane_leads_to("old");
  world.stays_away = true;
  const auto hasty = start(wanting(1, 200ms), "hasty");
  const auto patient = start(wanting(1), "patient");
  world.run_for(300ms);
  ASSERT_TRUE(hasty->is<protocol::Refusal>());
  EXPECT_EQ(hasty->refusal().code, "NOREPLICAS");
  EXPECT_FALSE(patient->is_over());
  lane_leads_to("new");
  world.run_for(100ms);
  EXPECT_TRUE(patient->has_it());
}

// While nobody is connected for requests the lane may be where they will go next: then what it has is judged alone.
TEST_F(LaneAtAnother, OnlyAConnectionThatIsThereTells) {
  route::Server& known = world.known;
  lane_leads_to("old");
  EXPECT_TRUE(known.has_parted_from(lane));
  known.note_broken(known.live_link());
  EXPECT_FALSE(known.has_parted_from(lane));
  lane_leads_to("new");
  known.begin(++link, {}, "new");
  EXPECT_FALSE(known.has_parted_from(lane));
  known.note_replaced(link);
  known.note_broken(link);
  EXPECT_TRUE(known.has_parted_from(lane));
  known.begin(++link, {}, "new");
  known.note_replaced(link - 1);
  EXPECT_FALSE(known.has_parted_from(lane)) << "it was the one before";
  EXPECT_FALSE(lane.has_parted_from(lane));
}

// A name may lead to several addresses of one machine, of which the first does not always answer.
TEST_F(LaneAtAnother, OneServerMayHaveTwoAddresses) {
  const ServerAddress one{"one", 1};
  world.known.begin(world.known.live_link(), {}, "10.0.0.1:1", one);
  lane.begin(++link, {}, "10.0.0.2:1", one);
  EXPECT_FALSE(world.known.has_parted_from(lane));
  EXPECT_TRUE(finish(wanting(1, 1s))->has_it());
  lane.begin(++link, {}, "10.0.0.2:1", {"two", 1});
  EXPECT_TRUE(world.known.has_parted_from(lane));
  lane.begin(++link, {}, "10.0.0.1:1", {"two", 1});
  EXPECT_FALSE(world.known.has_parted_from(lane)) << "that is another name of the same";
  lane.begin(++link, {}, "10.0.0.2:1", one);
  world.known.note_replaced(world.known.live_link());
  EXPECT_TRUE(world.known.has_parted_from(lane)) << "whatever it is named";
}

TEST_F(LaneAtAnother, TheTimeOfTheCallerIsKept) {
  lane_leads_to("old");
  const Instant began = process.now();
  EXPECT_TRUE(finish(wanting(1, 200ms))->is<protocol::Refusal>());
  EXPECT_LE(process.now(), began + 201ms);
  expect_free();
}

// ---- together -------------------------------------------------------------------------------------------------------

TEST_F(LaneTest, ManyShareTheirQuestions) {
  finish(wanting(0), "another");
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 64; ++i) callers.push_back(start(wanting(1), "key " + std::to_string(i)));
  world.run_for(10ms);
  for (const auto& caller : callers) EXPECT_TRUE(caller->has_it());
  EXPECT_EQ(server.count("WAIT"), 2) << "the first one's, and that of all who came meanwhile";
}

TEST_F(LaneTest, MoreThanGoInOneCommandGoInMore) {
  finish(wanting(0), "another");
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 600; ++i) callers.push_back(start(wanting(1), "key " + std::to_string(i)));
  world.run_for(10ms);
  for (const auto& caller : callers) EXPECT_TRUE(caller->has_it());
  EXPECT_EQ(server.count("WAIT"), 4);
}

// Whoever asks for all may leave at any time: another one asks.
TEST_F(LaneTest, TheOneThatAsksMayLeave) {
  for (const bool is_stopped : {true, false}) {
    server.replicas = 0;
    std::vector<std::unique_ptr<Caller>> callers;
    for (int i = 0; i < 5; ++i) callers.push_back(start(wanting(1), "key " + std::to_string(i)));
    world.run_for(10ms);
    for (int i = 0; i < 4; ++i) {
      if (is_stopped) {
        callers.front()->stop();
      } else {
        callers.front()->relay.to = nullptr;
      }
      callers.erase(callers.begin());
      world.run_for(20ms);
    }
    server.replicas = 1;
    world.run_for(300ms);
    EXPECT_TRUE(callers.front()->has_it());
    callers.clear();
    world.run_for(1s);
    EXPECT_TRUE(server.keys.empty());
  }
}

// Those that want fewer do not wait for those that want more.
TEST_F(LaneTest, EachHasWhatItWants) {
  finish(wanting(0), "another");
  server.replicas = 1;
  const auto more = start(wanting(2), "more");
  const auto less = start(wanting(1), "less");
  world.run_for(300ms);
  EXPECT_TRUE(less->has_it());
  EXPECT_FALSE(more->is_over());
  server.replicas = 2;
  world.run_for(300ms);
  EXPECT_TRUE(more->has_it());
}

TEST_F(LaneTest, OneThatHasLessTimeGoesFirst) {
  server.replicas = 0;
  Wishes hasty = wanting(1);
  hasty.expiry = 100ms;
  const Instant began = process.now();
  const auto patient = start(wanting(1), "patient");
  const auto one = finish(hasty, "hasty");
  EXPECT_TRUE(one->is<protocol::Refusal>());
  EXPECT_LE(process.now(), began + 30ms);
  server.replicas = 1;
  world.run_for(300ms);
  EXPECT_TRUE(patient->has_it());
}

// ---- hand-overs -----------------------------------------------------------------------------------------------------

TEST_F(LaneTest, AClaimIsConfirmedToo) {
  auto first = finish(wanting(1));
  process.line_up_other();
  auto second = std::make_unique<Caller>(process, wanting(1));
  Wishes alone = wanting(1);
  alone.local_handoffs = 0;
  second = std::make_unique<Caller>(process, alone);
  second->start();
  world.run_for(10ms);
  server.lines["redismutex:{key}"].erase(server.lines["redismutex:{key}"].begin());
  const int asked = server.count("WAIT");
  first->release();
  world.run_for(10ms);
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().how, testing::How::handed_over);
  EXPECT_GT(server.count("WAIT"), asked);
  world.run_for(500ms);
  EXPECT_GT(second->left(), 6s) << "and so is the full lease";
}

// Within the process a lock is passed with what was confirmed of it.
TEST_F(LaneTest, APassKeepsTheLease) {
  auto first = finish(wanting(1));
  auto second = start(wanting(1));
  auto other = start(wanting(2));
  world.run_for(10ms);
  const auto until = first->granted().lease->valid_until(first->granted().turn);
  first->release();
  world.run_for(10ms);
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().how, testing::How::passed);
  EXPECT_GE(second->granted().lease->valid_until(second->granted().turn), until);
  second->release();
  world.run_for(10ms);
  ASSERT_TRUE(other->has_it());
  EXPECT_NE(other->granted().how, testing::How::passed) << "it wants more than is known of it";
}

// ---- extensions -----------------------------------------------------------------------------------------------------

TEST_F(LaneTest, AnExtensionCountsWhenTheyHaveIt) {
  const auto caller = finish(wanting(1));
  const int asked = server.count("WAIT");
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, {.expiry = 60s})));
  EXPECT_GT(caller->left(), 59s);
  EXPECT_EQ(server.count("WAIT"), asked + 1);
  server.replicas = 0;
  const Instant until = caller->granted().lease->valid_until(caller->granted().turn);
  const auto outcome = extend(*caller, {.expiry = 300s});
  ASSERT_TRUE(std::holds_alternative<protocol::Refusal>(outcome));
  EXPECT_EQ(std::get<protocol::Refusal>(outcome).code, "NOREPLICAS");
  EXPECT_EQ(caller->granted().lease->valid_until(caller->granted().turn), until);
  server.replicas = 1;
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, {.expiry = 300s})));
  EXPECT_GT(caller->left(), 290s);
}

// The server that is asked may be another one than the one that was written to.
TEST_F(LaneTest, AnExtensionThatAnotherServerLacksDoesNotCount) {
  const auto caller = finish(wanting(1));
  const auto lease = caller->granted().lease;
  const Instant until = lease->valid_until(caller->granted().turn);
  server.replicas = 0;
  Extending extending{process.session, lease, caller->granted().turn, {.expiry = 60s}};
  bool over = false;
  Drive drive{world, extending, [&over] { over = true; }};
  drive.start();
  world.run_for(10ms);
  ASSERT_GT(server.keys.at("key").until, process.now() + 59s);
  another_takes_over(6s);
  EXPECT_TRUE(world.run_until_is([&over] { return over; }, 300ms)) << "it is known at once";
  ASSERT_TRUE(std::holds_alternative<protocol::Refusal>(extending.outcome()));
  EXPECT_THAT(std::get<protocol::Refusal>(extending.outcome()).text, HasSubstr("not for as long"));
  EXPECT_EQ(lease->valid_until(caller->granted().turn), until);
}

TEST_F(LaneTest, AnExtensionIsAsLongAsIsConfirmed) {
  const auto caller = finish(wanting(1));
  const auto lease = caller->granted().lease;
  for (const auto expiry : {9s, 3s}) {
    const int sent = server.count("extend");
    const Instant sent_at = process.now();
    Extending extending{process.session, lease, caller->granted().turn, {.expiry = expiry}};
    bool over = false;
    Drive drive{world, extending, [&over] { over = true; }};
    drive.start();
    world.run_until_is([&] { return server.count("extend") > sent; });
    server.round_trip = 300ms;
    EXPECT_TRUE(world.run_until_is([&over] { return over; }));
    server.round_trip = 1ms;
    EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extending.outcome())) << expiry.count();
    const Instant until = lease->valid_until(caller->granted().turn);
    EXPECT_LT(until, protocol::valid_until(sent_at, expiry) - 50ms) << expiry.count();
    EXPECT_GT(until, protocol::valid_until(sent_at, expiry) - 152ms) << expiry.count();
  }
}

// The server has the shorter lease, whoever has received it.
TEST_F(LaneTest, AShorterLeaseIsShorterAtOnce) {
  const auto caller = finish(wanting(1));
  server.replicas = 0;
  EXPECT_TRUE(std::holds_alternative<protocol::Refusal>(extend(*caller, {.expiry = 2s})));
  EXPECT_LT(caller->left(), 2s);
  server.replicas = 1;
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, {.expiry = 60s})));
  EXPECT_GT(caller->left(), 59s) << "nothing of it is in doubt";
}

// ---- renewals -------------------------------------------------------------------------------------------------------

class LaneRenewals : public LaneTest {
 protected:
  std::unique_ptr<Caller> renewed(Replicas replicas, const std::string& key = "key") {
    Wishes wants = wanting(replicas);
    wants.expiry = 3s;
    wants.renews = true;
    return finish(std::move(wants), key);
  }
};

TEST_F(LaneRenewals, ALeaseLastsAsLongAsTheyHaveIt) {
  const auto caller = renewed(1);
  for (int i = 0; i < 100; ++i) {
    world.run_for(100ms);
    ASSERT_GT(caller->left(), 1800ms);
  }
  const auto lost = caller->granted().lease->lost_token(caller->granted().turn);
  server.replicas = 0;
  const Instant until = caller->granted().lease->valid_until(caller->granted().turn);
  world.run_until(until - 1ms);
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_EQ(caller->granted().lease->valid_until(caller->granted().turn), until) << "nothing prolongs it";
  EXPECT_TRUE(world.is_logged("0 of the 1 replicas"));
  world.run_for(10ms);
  EXPECT_TRUE(lost.stop_requested());
}

TEST_F(LaneRenewals, ARenewalIsTriedAgain) {
  const auto caller = renewed(1);
  world.run_for(5s);
  server.replicas = 0;
  world.run_until_is([&] { return caller->left() < 500ms; });
  server.replicas = 1;
  world.run_for(400ms);
  EXPECT_GT(caller->left(), 2s);
}

TEST_F(LaneRenewals, ARenewalIsAsLongAsIsConfirmed) {
  const auto caller = renewed(1);
  world.run_for(5s);
  const auto until = [&] { return caller->granted().lease->valid_until(caller->granted().turn); };
  const Instant before = until();
  const int sent = server.count("extend");
  world.run_until_is([&] { return server.count("extend") > sent; });
  const Instant sent_at = process.now();
  server.round_trip = 200ms;
  world.run_for(320ms);
  EXPECT_GT(until(), before);
  EXPECT_LT(until(), protocol::valid_until(sent_at, 3s) - 60ms);
  EXPECT_GT(until(), protocol::valid_until(sent_at, 3s) - 202ms);
  for (int i = 0; i < 100; ++i) {
    world.run_for(100ms);
    ASSERT_GT(caller->left(), 1s) << "all ways are long, and it is renewed in time";
  }
}

// It does not count then, and is sent again at once.
TEST_F(LaneRenewals, ARenewalThatAnotherServerLacksIsSentAgain) {
  const auto caller = renewed(1);
  world.on_reconnected = nullptr;  // as in a cluster: nobody looks for that reason
  world.run_for(5s);
  server.replicas = 0;
  const int sent = server.count("extend");
  world.run_until_is([&] { return server.count("extend") > sent; });
  world.run_for(10ms);
  another_takes_over(1500ms);
  world.run_for(280ms);
  EXPECT_GT(caller->left(), 2s);
  EXPECT_GT(server.keys.at("key").until - process.now(), caller->left());
}

// Nor do they hold up those that want nothing of the kind.
TEST_F(LaneRenewals, OthersGoOn) {
  const auto plain = renewed(0, "plain");
  const auto one = renewed(1, "one");
  const auto two = renewed(2, "two");
  server.replicas = 1;
  world.run_for(10s);
  EXPECT_GT(plain->left(), 1s);
  EXPECT_GT(one->left(), 1s);
  EXPECT_EQ(two->granted().lease->valid_until(two->granted().turn), Instant{});
}

TEST_F(LaneRenewals, ALockThatIsGoneIsLostAtOnce) {
  const auto gone = renewed(1, "gone");
  const auto kept = renewed(1, "kept");
  world.run_for(100ms);
  server.replicas = 0;
  server.keys.erase("gone");
  world.run_until_is([&] { return gone->granted().lease->valid_until(gone->granted().turn) == Instant{}; });
  EXPECT_GT(kept->left(), 1s);
}

// A server that has refused them for a while: then they share their commands as before.
TEST_F(LaneRenewals, ThoseThatWereRefusedGoTogetherAgain) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 20; ++i) callers.push_back(renewed(1, "key " + std::to_string(i)));
  server.answers_instead = [](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA") return Reply::error("NOPERM No permissions to access a key");
    return std::nullopt;
  };
  world.run_for(1500ms);
  server.answers_instead = nullptr;
  world.run_for(10s);
  for (const auto& caller : callers) EXPECT_GT(caller->left(), 1s);
  server.counts.clear();
  world.run_for(10s);
  EXPECT_LE(server.count("extend"), 60);
}

TEST_F(LaneRenewals, ManyShareTheirQuestions) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 500; ++i) callers.push_back(renewed(1, "key " + std::to_string(i)));
  world.run_for(10s);
  server.counts.clear();
  world.run_for(10s);
  for (const auto& caller : callers) EXPECT_GT(caller->left(), 1s);
  EXPECT_LT(server.count("WAIT"), 100);
}

// Its driver ends with the process: what was under way leaves nothing.
TEST_F(LaneRenewals, TheBackgroundMayEnd) {
  const auto caller = renewed(1);
  server.replicas = 0;
  world.run_until_is([&] { return world.background.under_way() > 0 && server.count("WAIT") > 1; });
  world.background.end();
  server.replicas = 1;
  world.run_for(500ms);
  EXPECT_GT(caller->left(), 1s) << "and where it goes on it is asked again";
}

// ---- in a cluster ---------------------------------------------------------------------------------------------------

class LaneInCluster : public ::testing::Test {
 protected:
  LaneInCluster() { server.replicas = 1; }

  std::unique_ptr<Caller> start(const std::string& key, std::chrono::milliseconds limit = 30s) {
    Wishes wants = wishes(process.now() + limit);
    wants.replicas = 1;
    auto caller = std::make_unique<Caller>(process, std::move(wants), key);
    caller->start();
    return caller;
  }
  std::vector<std::unique_ptr<Caller>> start_many(int count) {
    world.known.lane();
    Caller opens{process, wishes(process.now() + 30s), "another"};
    opens.start();
    world.run_for(10ms);
    std::vector<std::unique_ptr<Caller>> callers;
    for (int i = 0; i < count; ++i) callers.push_back(start("key " + std::to_string(i)));
    return callers;
  }

  /// A question about locks in this slot is refused, if it is asked for the first time, or always.
  void refuse(const std::string& key, const std::string& refusal, bool once) {
    const std::string own = "redismutex:{" + std::string{protocol::word_of(protocol::slot_of(key))} + "}:witness";
    server.answers_instead = [this, own, refusal,
                              once](const testing::FakeServer::Words& words) -> std::optional<Reply> {
      const bool is_it = words.size() > 1 && words.at(1) == protocol::scripts::witness.sha1 &&
                         std::find(words.begin(), words.end(), own) != words.end();
      if (!is_it || (once && refused++ > 0)) return std::nullopt;
      return Reply::error(refusal);
    };
  }

  Process process{Process::Kind::cluster};
  testing::World& world = process.world;
  testing::FakeServer& server = process.server();
  int refused = 0;
};

// All slots of one server have one WAIT, and each its own script.
TEST_F(LaneInCluster, LocksOfManySlotsShareTheirQuestions) {
  const auto callers = start_many(1 + static_cast<int>(protocol::Witness::most_slots));
  world.run_for(10ms);
  for (const auto& caller : callers) EXPECT_TRUE(caller->has_it());
  EXPECT_EQ(server.count("WAIT"), 2) << "the first one's, and that of all who came meanwhile";
  EXPECT_GE(server.count("witness"), 30);
}

TEST_F(LaneInCluster, MoreSlotsThanGoInOneWriteGoInMore) {
  const auto callers = start_many(100);
  world.run_for(10ms);
  for (const auto& caller : callers) EXPECT_TRUE(caller->has_it());
  EXPECT_EQ(server.count("WAIT"), 5);
}

// The others have what they came for, and that one is asked for alone.
TEST_F(LaneInCluster, ASlotThatMovesHoldsUpNoOther) {
  for (const char* const refusal : {"TRYAGAIN Multiple keys request during rehashing of slot", "ASK 1 fake:1"}) {
    server.counts.clear();
    refused = 0;
    refuse("key 3", refusal, true);
    const auto callers = start_many(10);
    world.run_for(20ms);
    for (const auto& caller : callers) EXPECT_TRUE(caller->has_it()) << refusal;
    EXPECT_EQ(server.count("WAIT"), 3) << refusal;
  }
}

// One that is lost is lost alone.
TEST_F(LaneInCluster, EachLockIsJudgedAlone) {
  const auto callers = start_many(10);
  world.run_until_is([&] { return server.count("SET") == 11; });
  server.keys.erase("key 7");
  world.run_for(20ms);
  for (std::size_t i = 0; i < callers.size(); ++i) EXPECT_EQ(callers[i]->has_it(), i != 7) << i;
}

// A connection that breaks is no end: each is asked for where its slot is then.
TEST_F(LaneInCluster, TheServerMayGoAwayMeanwhile) {
  server.replicas = 0;
  const auto callers = start_many(10);
  world.run_for(100ms);
  world.break_link();
  server.replicas = 1;
  world.run_for(200ms);
  for (const auto& caller : callers) EXPECT_TRUE(caller->has_it());
}

TEST_F(LaneInCluster, TooFewIsToldToAll) {
  server.replicas = 0;
  const auto callers = start_many(40);
  world.run_for(3s);
  for (const auto& caller : callers) {
    ASSERT_TRUE(caller->is<protocol::Refusal>());
    EXPECT_EQ(caller->refusal().code, "NOREPLICAS");
  }
}

}  // namespace
}  // namespace redismutex::engine
