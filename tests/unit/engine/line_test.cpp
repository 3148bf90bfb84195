// The line of those in one process that want the same key.

#include "engine/line.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "route/environment.hpp"
#include "route/sleeper.hpp"
#include "unit/engine/callers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using testing::Caller;
using testing::How;
using testing::Process;
using testing::Relay;
using testing::Reply;
using testing::wishes;
using State = Lines::Member::State;

class LineTest : public ::testing::Test {
 protected:
  Process process;
  testing::World& world = process.world;
  testing::FakeServer& server = process.server();

  Wishes waiting(std::chrono::milliseconds limit = 30s) { return wishes(process.now() + limit); }

  /// It has the lock by now.
  std::unique_ptr<Caller> holder(Wishes wants) {
    auto caller = start(std::move(wants));
    world.run_for(1ms);
    EXPECT_TRUE(caller->has_it());
    return caller;
  }
  std::unique_ptr<Caller> holder() { return holder(waiting()); }

  std::unique_ptr<Caller> start(Wishes wants) {
    auto caller = std::make_unique<Caller>(process, std::move(wants));
    caller->start();
    return caller;
  }

  const std::vector<testing::FakeServer::Place>& places() { return server.lines["redismutex:{key}"]; }
};

// ---- passing --------------------------------------------------------------------------------------------------------

TEST_F(LineTest, TheLockGoesFromOneToTheNextWithoutTheServer) {
  auto first = start(waiting());
  auto second = start(waiting());
  auto third = start(waiting());
  world.run_until_is([&] { return first->is_over(); });
  ASSERT_TRUE(first->has_it());
  EXPECT_EQ(first->granted().how, How::free);
  EXPECT_FALSE(second->is_over());
  const auto sent = server.counts;
  first->release();
  EXPECT_TRUE(first->ended_by<GivingBack::Passed>());
  world.run_until_is([&] { return second->is_over(); });
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().how, How::passed);
  EXPECT_EQ(second->granted().lease, first->granted().lease);
  EXPECT_NE(second->granted().turn, first->granted().turn);
  EXPECT_FALSE(third->is_over());
  EXPECT_EQ(server.counts, sent);
  second->release();
  world.run_until_is([&] { return third->is_over(); });
  EXPECT_TRUE(third->has_it());
  third->release();
  world.run_until_is([&] { return third->released(); });
  EXPECT_TRUE(third->ended_by<GivingBack::Released>());
  EXPECT_TRUE(server.keys.empty());
}

// Somebody deletes the key, and takes it, while a thread of ours has it: its lock does not go to our next one.
TEST_F(LineTest, ALockThatIsGoneIsNotPassed) {
  auto first = holder();
  auto second = start(waiting());
  world.run_for(4ms);
  server.remove("key");
  server.store("key", "another", 100ms);
  first->release();
  world.run_until_is([&] { return first->released(); });
  EXPECT_TRUE(first->ended_by<GivingBack::Gone>());
  EXPECT_FALSE(second->is_over());
  world.run_until_is([&] { return second->is_over(); });
  ASSERT_TRUE(second->has_it());
  EXPECT_TRUE(server.has("key", second->granted().lease->value()));
  EXPECT_NE(second->granted().lease, first->granted().lease);
}

// The same when the server has told of the deletion, and nobody has read it yet.
TEST_F(LineTest, WhatTheServerHasToldIsReadBeforeAPass) {
  auto first = holder();
  auto second = start(waiting());
  world.run_for(30ms);  // the key is watched
  process.reader.is_late = true;
  server.remove("key");
  server.store("key", "another", 10s);
  world.run_for(1ms);
  ASSERT_EQ(process.reader.unread.size(), 1u);
  first->release();
  world.run_until_is([&] { return first->released(); });
  EXPECT_TRUE(first->ended_by<GivingBack::Gone>());
  EXPECT_FALSE(second->is_over());
}

// While the key is watched, and nothing was heard, nobody is asked.
TEST_F(LineTest, AWatchedLockIsPassedAtOnce) {
  auto first = holder();
  auto second = start(waiting());
  world.run_for(15ms);
  const auto sent = server.counts;
  first->release();
  EXPECT_TRUE(first->ended_by<GivingBack::Passed>());
  EXPECT_EQ(server.counts, sent);
}

// What is left of a lease is not passed on when it is little.
TEST_F(LineTest, ALeaseIsPassedWithAtLeastHalfOfIt) {
  for (const auto hold : {1ms, 1000ms, 3600ms, 6800ms}) {
    auto first = holder();
    auto second = start(waiting());
    world.run_for(hold);
    first->release();
    ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
    ASSERT_TRUE(second->has_it());
    EXPECT_EQ(second->granted().how, How::passed);
    EXPECT_GE(second->left(), 3500ms) << hold.count();
    second->release();
    world.run_until_is([&] { return second->released(); });
  }
}

// Also half of what the next one wants, which may be more.
TEST_F(LineTest, TheNextOneMayWantALongerLease) {
  auto first = holder();
  Wishes more = waiting();
  more.expiry = 60s;
  auto second = start(more);
  world.run_for(1ms);
  first->release();
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().how, How::passed);
  EXPECT_GE(second->left(), 30s);
}

TEST_F(LineTest, TokensRiseFromTurnToTurn) {
  Wishes fenced = waiting();
  fenced.fencing = true;
  auto first = start(fenced);
  auto second = start(fenced);
  world.run_until_is([&] { return first->is_over(); });
  ASSERT_TRUE(first->has_it());
  const std::uint64_t token = first->granted().lease->token(first->granted().turn);
  EXPECT_GT(token, 0u);
  first->release();
  world.run_until_is([&] { return second->is_over(); });
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().how, How::passed);
  EXPECT_EQ(second->granted().lease->token(second->granted().turn), token + 1);
  EXPECT_EQ(first->granted().lease->token(first->granted().turn), 0u);
}

TEST_F(LineTest, ALockWithoutATokenIsNotPassedToOneThatWantsOne) {
  auto first = holder();
  Wishes fenced = waiting();
  fenced.fencing = true;
  auto second = start(fenced);
  world.run_for(1ms);
  first->release();
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  EXPECT_TRUE(first->ended_by<GivingBack::Released>());
  ASSERT_TRUE(second->has_it());
  EXPECT_NE(second->granted().how, How::passed);
  EXPECT_GT(second->granted().lease->token(second->granted().turn), 0u);
}

// One that renews its lock, and one that does not, do not share a lease.
TEST_F(LineTest, ALockIsNotPassedToOneThatWantsItKeptInAnotherWay) {
  auto first = holder();
  Wishes renewed = waiting();
  renewed.renews = true;
  auto second = start(renewed);
  world.run_for(1ms);
  first->release();
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  ASSERT_TRUE(second->has_it());
  EXPECT_NE(second->granted().how, How::passed);
}

// Members may want leases of different lengths: each is passed what the one before it had.
TEST_F(LineTest, ALeaseOfOneThatWantsALongerOneIsPassed) {
  Wishes longer = waiting();
  longer.expiry = 60s;
  auto first = holder(waiting());
  auto second = start(longer);
  auto third = start(waiting());
  first->release();
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  EXPECT_TRUE(first->ended_by<GivingBack::Passed>());
  second->release();
  ASSERT_TRUE(world.run_until_is([&] { return third->is_over(); }));
  EXPECT_TRUE(second->ended_by<GivingBack::Passed>());
  ASSERT_TRUE(third->has_it());
}

// What its holder has made longer is not the next one's, which has said how soon it is free if its owner dies, and how long it may be held.
TEST_F(LineTest, ALeaseThatWasMadeLongerIsNotPassed) {
  for (const bool renews : {false, true}) {
    Wishes wants = waiting();
    wants.renews = renews;
    if (renews) wants.max_hold = 10s;
    auto first = holder(wants);
    auto second = start(wants);
    Extending asking{process.session, first->granted().lease, first->granted().turn, {.expiry = 60s}};
    testing::Drive drive{world, asking, [] {}};
    drive.start();
    ASSERT_TRUE(world.run_until_is([&] { return drive.is_over(); }));
    first->release();
    ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
    EXPECT_TRUE(first->ended_by<GivingBack::Released>());
    ASSERT_TRUE(second->has_it());
    EXPECT_LE(second->left(), 7s);
    EXPECT_LE(server.keys.at("key").until - world.now(), 7s);
    second->release();
    world.run_until_is([&] { return second->released(); });
  }
}

// ---- others at the server -------------------------------------------------------------------------------------------

// However many of us want it: one of another process gets it after one hold and 100 ms.
TEST_F(LineTest, OthersAtTheServerDoNotStarve) {
  for (const auto hold :
       {Instant::duration{100us}, Instant::duration{3ms}, Instant::duration{50ms}, Instant::duration{400ms}}) {
    Process fresh;
    std::deque<std::unique_ptr<Caller>> callers;
    const auto add = [&] {
      callers.push_back(std::make_unique<Caller>(fresh, wishes(fresh.now() + 2s)));
      callers.back()->start();
    };
    for (int i = 0; i < 4; ++i) add();
    const auto turn = [&] {
      while (!callers.front()->is_over()) {
        ASSERT_TRUE(fresh.world.run_until_is([&] { return callers.front()->is_over(); }));
      }
      ASSERT_TRUE(callers.front()->has_it());
      fresh.world.run_for(hold);
      callers.front()->release();
      ASSERT_TRUE(fresh.world.run_until_is([&] { return callers.front()->released(); }));
      callers.pop_front();
      add();
    };
    for (int i = 0; i < 10; ++i) turn();
    const Instant came = fresh.now();
    fresh.line_up_other();
    while (!fresh.server().has("key", "other")) {
      turn();
      ASSERT_LE(fresh.now() - came, hold + 100ms) << hold.count();
    }
  }
}

// The row is the line's: those that give up are no reason to begin a new one.
TEST_F(LineTest, SoManyPassesInARowWhileOthersWait) {
  Wishes few = waiting();
  few.local_handoffs = 2;
  std::deque<std::unique_ptr<Caller>> callers;
  callers.push_back(holder(few));
  for (int i = 0; i < 6; ++i) callers.push_back(start(few));
  process.line_up_other();
  {
    const auto& granted = callers.front()->granted();
    Extending asking{process.session, granted.lease, granted.turn, {.expiry = 7s}};
    testing::Drive drive{world, asking, [] {}};
    drive.start();
    ASSERT_TRUE(world.run_until_is([&] { return drive.is_over(); }));
  }
  int passes = 0;
  for (;; ++passes) {
    callers.front()->release();
    ASSERT_TRUE(world.run_until_is([&] { return callers.front()->released(); }));
    if (!callers.front()->ended_by<GivingBack::Passed>()) break;
    callers.pop_front();
    ASSERT_TRUE(world.run_until_is([&] { return callers.front()->is_over(); }));
    callers[1]->stop();
    callers.erase(callers.begin() + 1);
  }
  EXPECT_EQ(passes, 2);
  EXPECT_TRUE(server.has("key", "other"));
}

// ---- the place at the server ----------------------------------------------------------------------------------------

// Requests every 100 ms that wait for 1 s, and one hold of 1.5 s: all that come afterwards are served.
TEST_F(LineTest, APlaceIsNotLostWithTheOneThatGivesUp) {
  server.store("key", "another", 1500ms);
  process.line_up_other(1ms);
  server.lines.clear();
  std::vector<std::unique_ptr<Caller>> callers;
  std::string id;
  int served = 0;
  for (int i = 0; i < 40; ++i) {
    callers.push_back(start(waiting(1s)));
    world.run_for(100ms);
    if (!places().empty() && id.empty()) id = places().front().id;
    if (i < 14) {
      EXPECT_EQ(places().size(), 1u);
      EXPECT_EQ(places().front().id, id) << "the same place, with the same ticket";
    }
    for (auto& caller : callers) {
      if (caller->has_it() && !caller->released()) {
        caller->release();
        ++served;
        world.run_for(1ms);
      }
    }
  }
  EXPECT_GE(served, 33);
}

// The lock is handed over in the moment in which the first gives up: it is the next one's.
TEST_F(LineTest, AGrantThatComesToOneThatGivesUpIsTheNextOnes) {
  server.store("key", "another", 10s);
  auto first = start(waiting());
  auto second = start(waiting());
  world.run_for(100ms);
  ASSERT_EQ(places().size(), 1u);
  const std::string id = places().front().id;
  first->relay.keeps = true;  // it does not hear of it
  server.store("key", id, 1000ms);
  server.lines.clear();
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(world.environment.wall_clock());
  process.session.take_message(id + " 1000 " + std::to_string(time.count() / 1'000'000) + " " +
                               std::to_string(time.count() % 1'000'000) + " 0");
  const auto sent = server.counts;
  first->stop();
  EXPECT_TRUE(first->is<route::Failure>());
  world.run_until_is([&] { return second->is_over(); });
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().lease->value(), id);
  EXPECT_EQ(second->granted().how, How::handed_over);
  EXPECT_EQ(server.counts, sent);
}

// What was asked, and not answered, when the first gave up is asked again: by the same id, so it takes no second lock.
TEST_F(LineTest, ARequestUnderWayWhenTheFirstGivesUp) {
  world.connect();
  server.round_trip = 20ms;
  auto first = start(waiting());
  auto second = start(waiting());
  world.run_for(15ms);  // it is carried out
  ASSERT_TRUE(server.keys.contains("key"));
  const std::string id = server.keys.at("key").value;
  first->stop();
  world.run_until_is([&] { return second->is_over(); });
  ASSERT_TRUE(second->has_it());
  EXPECT_EQ(second->granted().lease->value(), id);
}

// What one asked for that gave up is asked again as it was: the next one, which needs a longer lease, has that all the same.
TEST_F(LineTest, ARequestThatIsKeptMayBeForTooShortALease) {
  server.away = true;
  Wishes little = waiting(300ms);
  little.expiry = 500ms;
  auto first = start(little);
  world.run_for(100ms);
  Wishes much = waiting();
  much.expiry = 60s;
  auto second = start(much);
  ASSERT_TRUE(world.run_until_is([&] { return first->is_over(); }));
  server.away = false;
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  ASSERT_TRUE(second->has_it());
  EXPECT_GE(second->left(), 59s);
  EXPECT_GE(server.keys.at("key").until - world.now(), second->left());
}

// When nobody is left the place is given up.
TEST_F(LineTest, TheLastOneGivesThePlaceUp) {
  server.store("key", "another", 10s);
  auto first = start(waiting());
  auto second = start(waiting());
  world.run_for(10ms);
  EXPECT_EQ(places().size(), 1u);
  first->stop();
  world.run_for(10ms);
  EXPECT_EQ(places().size(), 1u);
  second->stop();
  world.run_for(10ms);
  EXPECT_TRUE(places().empty());
}

// The place suits all of them, without a new ticket.
TEST_F(LineTest, ThePlaceIsAsAllOfThemWantIt) {
  server.store("key", "another", 10s);
  process.line_up_other();
  auto first = start(waiting());
  world.run_for(10ms);
  ASSERT_EQ(places().size(), 2u);
  EXPECT_EQ(places().back().details.front(), '0');
  Wishes fenced = waiting();
  fenced.fencing = true;
  fenced.delay = 100ms;
  auto second = start(fenced);
  ASSERT_TRUE(world.run_until_is([&] { return places().back().details.front() == '1'; }, 1s));
  EXPECT_EQ(places().size(), 2u);
}

// ... but not so that a lock is there for longer than it may be held.
TEST_F(LineTest, ThePlaceAsksForNoMoreThanMayBeHeld) {
  server.store("key", "another", 700ms);
  Wishes limited = waiting();
  limited.expiry = 1s;
  limited.delay = 100ms;
  limited.renews = true;
  limited.max_hold = 2s;
  auto first = start(limited);
  world.run_for(10ms);
  Wishes much = waiting(60s);
  much.expiry = 30s;
  auto second = start(much);
  ASSERT_TRUE(world.run_until_is([&] { return first->is_over(); }));
  ASSERT_TRUE(first->has_it());
  const Instant begun = world.now();
  EXPECT_GT(first->left(), 1s) << "it asks for as much as it may";
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }, 3s)) << "the first never comes back";
  ASSERT_TRUE(second->has_it());
  EXPECT_LE(world.now() - begun, 2s + 200ms);
  EXPECT_GT(second->left(), 29s);
}

// Each of its own number of waiters: one that may not wait behind so many makes room for one that may.
TEST_F(LineTest, MaxWaitersIsEachMembersOwn) {
  server.store("key", "another", 200ms);
  process.line_up_other(300ms);
  Wishes picky = waiting();
  picky.max_waiters = 1;
  auto first = start(picky);
  auto second = start(waiting());
  world.run_until_is([&] { return first->is_over(); });
  EXPECT_TRUE(first->is<Acquisition::Full>());
  std::erase_if(server.lines["redismutex:{key}"], [](const auto& place) { return place.id == "other"; });
  world.run_until_is([&] { return second->is_over(); });
  EXPECT_TRUE(second->has_it());
}

// ---- ends -----------------------------------------------------------------------------------------------------------

// A holder that never comes back holds up nobody for longer than its lease.
TEST_F(LineTest, TheNextOneGoesToTheServerWhenTheLeaseEnds) {
  auto first = holder();
  auto second = start(waiting());
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }, 8s));
  EXPECT_TRUE(second->has_it());
  first->release();
  world.run_until_is([&] { return first->released(); });
  EXPECT_TRUE(first->ended_by<GivingBack::Expired>());
  EXPECT_TRUE(server.has("key", second->granted().lease->value())) << "an old ticket is harmless";
}

TEST_F(LineTest, TheNextOneGoesToTheServerWhenTheLockIsDeleted) {
  auto first = holder();
  auto second = start(waiting());
  world.run_for(100ms);
  server.remove("key");
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }, 50ms));
  EXPECT_TRUE(second->has_it());
}

// The member wakes when the lease that it was passed has ended: the key is given back, and it goes to the server.
TEST_F(LineTest, APassThatComesTooLate) {
  auto first = holder();
  auto second = start(waiting());
  world.run_for(1ms);
  second->relay.keeps = true;
  first->release();
  world.run_until_is([&] { return first->released(); });
  EXPECT_TRUE(first->ended_by<GivingBack::Passed>());
  world.run_for(7s);
  server.store("key", first->granted().lease->value(), 10s);  // as if the server's clock were slow
  second->relay.let_go();
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }, 2s));
  ASSERT_TRUE(second->has_it());
  EXPECT_NE(second->granted().lease, first->granted().lease);
}

// A turn that comes in the moment in which a member gives up is not lost.
TEST_F(LineTest, ATurnThatComesToOneThatIsDestroyedIsTheNextOnes) {
  auto first = start(waiting());
  auto second = start(waiting());
  auto third = start(waiting());
  world.run_until_is([&] { return first->is_over(); });
  ASSERT_TRUE(first->has_it());
  second->relay.keeps = true;
  first->release();
  ASSERT_TRUE(first->ended_by<GivingBack::Passed>());
  second.reset();
  world.run_until_is([&] { return third->is_over(); });
  ASSERT_TRUE(third->has_it());
  EXPECT_TRUE(server.has("key", third->granted().lease->value()));
}

TEST_F(LineTest, ATurnThatNobodyTakesIsGivenBack) {
  auto first = start(waiting());
  auto second = start(waiting());
  world.run_until_is([&] { return first->is_over(); });
  ASSERT_TRUE(first->has_it());
  second->relay.keeps = true;
  first->release();
  second.reset();
  world.run_for(10ms);
  EXPECT_TRUE(server.keys.empty());
  EXPECT_TRUE(holder()->has_it());
}

// ---- what is heard --------------------------------------------------------------------------------------------------

TEST_F(LineTest, BehindOthersATroubleIsHeardOf) {
  world.connect();
  world.break_link();
  server.away = true;
  auto first = start(waiting(10s));
  auto second = start(waiting(1s));
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  ASSERT_TRUE(second->is<route::Failure>());
  EXPECT_EQ(second->failure().kind, route::Failure::Kind::unreachable);
  EXPECT_FALSE(first->is_over());
}

// Nobody knows of a lock of which no answer was had.
TEST_F(LineTest, BehindOthersSilenceIsNotTaken) {
  world.connect();
  server.silent = true;
  auto first = start(waiting(10s));
  auto second = start(waiting(500ms));
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  ASSERT_TRUE(second->is<route::Failure>());
  EXPECT_EQ(second->failure().kind, route::Failure::Kind::timed_out);
}

TEST_F(LineTest, BehindOthersThatHaveItItIsTaken) {
  auto first = holder();
  auto second = start(waiting(500ms));
  ASSERT_TRUE(world.run_until_is([&] { return second->is_over(); }));
  EXPECT_TRUE(second->is<Acquisition::Taken>());
}

// What is refused to the first one ends only its own attempt.
TEST_F(LineTest, ARefusalEndsOneAttempt) {
  int refusals = 1;
  server.answers_instead = [&](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if ((words.front() != "SET" && words.front() != "EVALSHA") || refusals-- <= 0) return std::nullopt;
    return Reply::error("OOM command not allowed when used memory > 'maxmemory'.");
  };
  auto first = start(waiting());
  auto second = start(waiting());
  world.run_until_is([&] { return first->is_over(); });
  ASSERT_TRUE(first->is<protocol::Refusal>());
  EXPECT_EQ(first->refusal().code, "OOM");
  world.run_until_is([&] { return second->is_over(); });
  EXPECT_TRUE(second->has_it());
}

TEST_F(LineTest, HowManyAreAhead) {
  auto first = holder();
  auto second = start(waiting());
  auto third = start(waiting());
  EXPECT_EQ(second->acquisition().ahead(), 1u);
  EXPECT_EQ(third->acquisition().ahead(), 2u);
  second->stop();
  EXPECT_EQ(third->acquisition().ahead(), 1u);
}

// ---- the lines themselves -------------------------------------------------------------------------------------------

struct Counting final : route::Waker {
  void wake() noexcept override { ++times; }
  int times = 0;
};

// A line that is left is used for the next key.
TEST_F(LineTest, LinesAreUsedAgain) {
  Counting waker;
  const Wishes wants = waiting();
  for (int i = 0; i < 100; ++i) {
    const protocol::Key key{"key " + std::to_string(i)};
    Lines::Member first{key, wants, waker}, second{key, wants, waker};
    process.session.lines().enter(first);
    process.session.lines().enter(second);
    EXPECT_EQ(first.state(), State::first);
    EXPECT_EQ(second.state(), State::waiting);
    EXPECT_EQ(process.session.lines().give_up(first, nullptr), nullptr);
    EXPECT_EQ(second.state(), State::first);
    EXPECT_NE(first.ticket.number, second.ticket.number);
    process.session.lines().give_up(second, nullptr);
  }
  EXPECT_EQ(waker.times, 100);
}

// ---- with threads ---------------------------------------------------------------------------------------------------

/// In which nothing happens.
struct Still final : route::Background {
  void get_ready() override {}
  void start(std::shared_ptr<Operation> /*operation*/) override {}
  void enlist(Duty& /*duty*/) override {}
  void call(Duty& /*duty*/, Instant /*at*/) noexcept override {}
  void withdraw(Duty& /*duty*/) noexcept override {}
  void listen(bool /*wanted*/) noexcept override {}
  void verify_server() noexcept override {}
  bool take_in_pushes(route::Server& /*server*/) noexcept override { return true; }
};

// Threads that come, give up, and pass the lock on at any moment: one at a time has it, and nobody is forgotten.
TEST(LinesWithThreads, OneAtATime) {
  constexpr int threads = 8, rounds = 3000;
  route::Environment& environment = route::operating_system();
  route::Server server{environment, "none", [](std::string_view) {}};
  Still background;
  const auto callbacks = std::make_shared<testing::FakeCallbacks>(nullptr, nullptr);
  Session session{{environment, server, background, *callbacks}, {1s, 1s}};
  Lines& lines = session.lines();
  const protocol::Key key{"key"};
  std::atomic<bool> inside{false};
  std::atomic<int> overlaps{0}, entries{0}, passes{0}, visits{0};

  const auto use = [&](const std::shared_ptr<Lease>& lease, Lease::Turn turn, const Lines::Ticket& ticket) {
    if (inside.exchange(true)) ++overlaps;
    ++entries;
    std::this_thread::sleep_for(1us);  // so that others line up
    inside = false;
    if (lines.pass(ticket, lease, Lines::Extended::just_now, session.now()).what == Lines::Pass::passed) {
      ++passes;
      return;
    }
    lease->end(turn, session.now());
    lines.leave(key, ticket);
  };
  const auto visit = [&](std::mt19937& random) {
    route::Sleeper sleeper;
    const std::chrono::microseconds patience{random() % 4 == 0 ? random() % 50 : 10'000'000};
    const Wishes wants = wishes(session.now() + patience);
    Lines::Member member{key, wants, sleeper};
    lines.enter(member);
    State state = member.state();
    while (state == State::waiting) {
      sleeper.sleep(route::deadline_at(*wants.wait_until), {});
      state = member.state();
      if (state == State::waiting && session.now() >= *wants.wait_until && lines.withdraw(member)) return;
      state = lines.look(member);
    }
    if (state == State::passed) return use(member.lease, member.turn, member.ticket);
    if (random() % 8 == 0) {
      lines.give_up(member, nullptr);
      return;
    }
    const protocol::OwnerId id = route::new_owner_id(environment, {});
    const auto lease = std::make_shared<Lease>(session, key, id, Lease::Terms{.expiry = 7s});
    const Instant now = session.now();
    const Lease::Turn turn = lease->begin({.valid_until = now + 6s, .since = now}, {&server, 1}, now);
    lines.granted(member, lease, now);
    use(lease, turn, member.ticket);
  };
  {
    const Instant end = session.now() + 5s;
    std::vector<std::jthread> running;
    for (unsigned seed = 1; seed <= threads; ++seed) {
      running.emplace_back([&, seed] {
        std::mt19937 random{seed};
        // A busy machine takes milliseconds for a turn.
        for (int i = 0; i < rounds && session.now() < end; ++i, ++visits) visit(random);
      });
    }
  }
  EXPECT_EQ(overlaps, 0);
  EXPECT_GT(entries, visits / 2);
  EXPECT_GT(passes, 0);
  Counting waker;
  const Wishes wants = wishes(session.now());
  Lines::Member last{key, wants, waker};
  lines.enter(last);
  EXPECT_EQ(last.state(), State::first);
  lines.give_up(last, nullptr);
}

}  // namespace
}  // namespace redismutex::engine
