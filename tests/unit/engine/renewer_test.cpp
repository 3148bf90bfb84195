#include "engine/renewer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "unit/engine/engine.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;

using Leases = std::vector<std::shared_ptr<Lease>>;

/// Many locks, which were taken one after the other within that time.
Leases hold_many(Engine& engine, int count, const Lease::Terms& terms, Instant::duration within,
                 const std::string& prefix = "job ") {
  Leases leases;
  for (int i = 0; i < count; ++i) {
    leases.push_back(engine.hold(prefix + std::to_string(i), terms));
    engine.world.run_for(within / count);
  }
  return leases;
}

auto count_alive(const Leases& leases) {
  return std::count_if(leases.begin(), leases.end(),
                       [](const auto& lease) { return lease->valid_until(first_turn) != Instant{}; });
}

TEST(Renewer, ARenewedLeaseLastsUntilItIsGivenBack) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true});
  for (int i = 0; i < 600; ++i) {
    engine.world.run_for(100ms);
    ASSERT_GT(lease->valid_until(first_turn), engine.world.now() + 1800ms) << i;
  }
  EXPECT_TRUE(engine.world.background.listening);
  EXPECT_LE(engine.world.server.count("extend"), 75);
  EXPECT_GE(engine.world.server.count("extend"), 60);
  EXPECT_EQ(notes->renewals.size(), static_cast<std::size_t>(engine.world.server.count("extend")));
  ASSERT_TRUE(lease->end(first_turn, engine.world.now()));
  engine.world.server.counts.clear();
  engine.world.run_for(60s);
  EXPECT_EQ(engine.world.server.count("extend"), 0);
  EXPECT_FALSE(engine.world.background.listening);
}

// However slow the way to the server is, a lease is judged by its own end.
TEST(Renewer, ManyLeasesOnASlowConnectionAreAllKept) {
  Engine engine;
  engine.world.server.round_trip = 300ms;
  const Leases leases = hold_many(engine, 3200, {.expiry = 3s, .renews = true}, 1s);
  engine.world.run_for(15s);
  EXPECT_EQ(count_alive(leases), 3200);
}

// What went together stays together, and a round of many leases takes few commands, and little of the processor.
TEST(Renewer, ARoundOfManyLeasesTakesFewCommands) {
  Engine engine;
  engine.world.server.round_trip = 20ms;
  const Leases leases = hold_many(engine, 10'000, {.expiry = 10s, .renews = true}, 5s);
  engine.world.run_for(8s);
  engine.world.server.counts.clear();
  engine.world.background.runs = 0;
  const std::clock_t begun = std::clock();
  engine.world.run_for(15s);
  const double processor_time = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  EXPECT_EQ(count_alive(leases), 10'000);
  const double rounds = 15 / (10 * (0.28 + 1.0 / 3) / 2 + 0.02);
  EXPECT_LE(engine.world.server.count("extend") / rounds, 100);
  RecordProperty("commands a round", std::to_string(engine.world.server.count("extend") / rounds));
  RecordProperty("ms a round with the fake server", std::to_string(1000 * processor_time / rounds));
}

// Where there is more to send than may be under way, nothing is lost, and the most urgent is not behind the others.
TEST(Renewer, TheMostUrgentGoesFirst) {
  Engine engine;
  engine.world.server.round_trip = 500ms;
  const auto before = engine.hold("before", {.expiry = 60s, .renews = true});
  engine.world.run_for(5s);  // so there is a connection
  Leases leases = hold_many(engine, 8000, {.expiry = 60s, .renews = true}, 1ms);
  const Leases urgent = hold_many(engine, 100, {.expiry = 2s, .renews = true}, 1ms, "urgent ");
  engine.world.run_for(40s);
  EXPECT_EQ(count_alive(leases), 8000);
  EXPECT_EQ(count_alive(urgent), 100);
}

// A command that is not answered in time costs those whose time is up, and no others.
TEST(Renewer, AWeakLeaseTakesNoOthersAlong) {
  Engine engine;
  const auto weak = engine.hold("weak", {.expiry = 300ms, .renews = true});
  const auto strong = engine.hold("strong", {.expiry = 5s, .renews = true});
  engine.world.run_for(1ms);
  engine.world.server.round_trip = 600ms;
  engine.world.run_for(20s);
  EXPECT_EQ(weak->valid_until(first_turn), Instant{});
  EXPECT_NE(strong->valid_until(first_turn), Instant{});
}

// A server that refuses, or is away, is asked again for as long as the leases last; the log says why, once, and names those that were lost.
TEST(Renewer, WhatIsRefusedIsTriedAgain) {
  Engine engine;
  const Leases leases = hold_many(engine, 1000, {.expiry = 5s, .renews = true}, 1ms);
  engine.world.run_for(1s);
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA") return Reply::error("MISCONF the disk is full");
    return std::nullopt;
  };
  engine.world.run_for(3s);
  EXPECT_EQ(count_alive(leases), 1000);
  EXPECT_EQ(engine.world.log.size(), 1U);
  EXPECT_TRUE(engine.world.is_logged("will be tried again; the server said: MISCONF the disk is full"));
  engine.world.server.answers_instead = nullptr;
  engine.world.run_for(10s);
  EXPECT_EQ(count_alive(leases), 1000);
}

TEST(Renewer, TheLogSaysWhyALeaseWasLost) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 5s, .renews = true});
  engine.world.run_for(1s);
  engine.world.server.away = true;
  engine.world.break_link();
  const Instant until = lease->valid_until(first_turn);
  engine.world.run_until(until - 1ns);
  EXPECT_TRUE(notes->losses.empty());
  engine.world.run_until(until);
  ASSERT_EQ(notes->losses.size(), 1U);
  EXPECT_EQ(notes->losses[0].second, Loss::expired);
  EXPECT_TRUE(engine.world.is_logged("will be tried again; the reason: connection refused"));
  EXPECT_TRUE(engine.world.is_logged(
      "lock 'job' was lost because it could not be renewed in time; the reason: connection refused"));
}

// Also where its lease is over sooner than a request is given up.
TEST(Renewer, ARenewalThatIsNotAnsweredBeforeTheEndIsToldOf) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const auto lease = engine.hold("job", {.expiry = 1500ms, .renews = true});
  const std::stop_token lost = lease->lost_token(first_turn);
  engine.world.server.deaf = true;
  engine.world.run_until(lease->valid_until(first_turn));
  EXPECT_TRUE(lost.stop_requested());
  EXPECT_EQ(notes->failures.size(), 1U);
  EXPECT_TRUE(engine.world.is_logged(
      "lock 'job' was lost because it could not be renewed in time; the reason: no answer to the renewal"));
  engine.world.run_for(10s);
  EXPECT_EQ(notes->failures.size(), 1U) << "once";
}

// The pauses between tries get longer, but not so long that the last chance is missed.
TEST(Renewer, AFailureIsNotRepeatedTooOften) {
  Engine engine;
  const Leases leases = hold_many(engine, 1000, {.expiry = 30s, .renews = true}, 1ms);
  engine.world.run_for(1s);
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA") return Reply::error("ERR out of order");
    return std::nullopt;
  };
  engine.world.server.counts.clear();
  engine.world.run_for(25s);
  EXPECT_EQ(count_alive(leases), 1000);
  EXPECT_LE(engine.world.server.count("extend"), 8 * 100);
  engine.world.server.answers_instead = nullptr;
  engine.world.run_for(1s);
  EXPECT_EQ(count_alive(leases), 1000);
}

TEST(Renewer, AfterAReconnectionAllWatchedKeysAreLookedAt) {
  Engine engine;
  const auto kept = engine.hold("kept", {.expiry = 30s});
  const auto gone = engine.hold("gone", {.expiry = 30s});
  const std::stop_token kept_token = kept->lost_token(first_turn);
  const std::stop_token gone_token = gone->lost_token(first_turn);
  engine.world.run_for(100ms);
  engine.world.break_link();
  engine.world.server.keys.erase("gone");
  engine.world.run_for(1s);
  engine.world.connect();
  engine.world.run_for(10ms);
  EXPECT_FALSE(kept_token.stop_requested());
  EXPECT_TRUE(gone_token.stop_requested());
}

// A change that is heard of while a look is under way calls for another look.
TEST(Renewer, ALookDoesNotHideALaterChange) {
  Engine engine;
  engine.world.server.round_trip = 20ms;
  const auto lease = engine.hold("job", {.expiry = 30s});
  const std::stop_token token = lease->lost_token(first_turn);
  engine.world.run_for(200ms);
  const int looks = engine.world.server.count("extend");
  engine.session->key_changed("job");
  engine.world.run_for(15ms);  // the look was carried out, and its answer is under way
  engine.world.server.remove("job");
  engine.session->key_changed("job");
  engine.world.run_for(100ms);
  EXPECT_TRUE(token.stop_requested());
  EXPECT_EQ(engine.world.server.count("extend"), looks + 2);
}

TEST(Renewer, NothingIsRenewedBeyondItsLimit) {
  const auto notes = std::make_shared<Notes>();
  Engine engine{notes};
  const Instant begun = engine.world.now();
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true, .max_hold = 10s});
  engine.world.run_until(begun + 9900ms);
  EXPECT_TRUE(notes->losses.empty());
  EXPECT_LE(lease->valid_until(first_turn), begun + 10s);
  engine.world.run_until(begun + 10s);
  ASSERT_EQ(notes->losses.size(), 1U);
  EXPECT_EQ(notes->losses[0].second, Loss::expired);
  EXPECT_LE(engine.world.server.count("extend"), 14);
}

// A claim of a lease that is to be renewed becomes a full one with the first visit.
TEST(Renewer, AClaimIsRenewed) {
  Engine engine;
  const auto lease = engine.claim("job", {.expiry = 5s, .renews = true});
  engine.world.run_for(10ms);
  EXPECT_FALSE(lease->is_claim(first_turn));
  engine.world.run_for(60s);
  EXPECT_NE(lease->valid_until(first_turn), Instant{});
}

// Where the server does not let us know of changes, renewing goes on.
TEST(Renewer, WithoutTrackingLeasesAreRenewed) {
  Engine engine;
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "CLIENT")
      return Reply::error("NOPERM this user has no permissions to run the 'client' command");
    return std::nullopt;
  };
  const auto lease = engine.hold("job", {.expiry = 3s, .renews = true});
  engine.world.run_for(60s);
  EXPECT_NE(lease->valid_until(first_turn), Instant{});
  EXPECT_FALSE(lease->standing().is_known);
}

// A server looks at the rights to all keys of a command before it begins: one of them without rights must not cost the others their leases.
TEST(Renewer, ALockThatTheServerRefusesTakesNoOtherAlong) {
  Engine engine;
  engine.world.server.answers_instead = [](const FakeServer::Words& words) -> std::optional<Reply> {
    if (words.front() == "EVALSHA" && std::find(words.begin(), words.end(), "forbidden") != words.end())
      return Reply::error("NOPERM No permissions to access a key");
    return std::nullopt;
  };
  Leases leases = hold_many(engine, 50, {.expiry = 3s, .renews = true}, 1ms);
  const auto forbidden = engine.hold("forbidden", {.expiry = 3s, .renews = true});
  engine.world.run_for(10s);
  EXPECT_EQ(count_alive(leases), 50);
  EXPECT_EQ(forbidden->valid_until(first_turn), Instant{});
  // Those that are left go together again.
  engine.world.server.counts.clear();
  engine.world.run_for(60s);
  EXPECT_EQ(count_alive(leases), 50);
  EXPECT_LE(engine.world.server.count("extend"), 150);
}

// No lease is kept alive by what is under way for it, and the session may end at any time.
TEST(Renewer, TheSessionMayEndWhileCommandsAreUnderWay) {
  Engine engine;
  engine.world.server.round_trip = 1s;
  {
    Leases leases = hold_many(engine, 300, {.expiry = 5s, .renews = true}, 1ms);
    engine.world.run_for(100ms);
    EXPECT_GT(engine.world.background.under_way(), 0U);
    const std::weak_ptr<Lease> one = leases.front();
    leases.clear();
    EXPECT_TRUE(one.expired());
  }
  engine.session.reset();
  engine.world.run_for(10s);
  EXPECT_EQ(engine.world.background.under_way(), 0U);
}

TEST(Renewer, WhatTheBackgroundGaveUpIsTriedAgain) {
  Engine engine;
  const Leases leases = hold_many(engine, 300, {.expiry = 5s, .renews = true}, 1ms);
  engine.world.run_for(6ms);
  engine.world.background.end();
  engine.world.run_for(60s);
  EXPECT_EQ(count_alive(leases), 300);
}

}  // namespace
}  // namespace redismutex::engine
