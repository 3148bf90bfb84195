// How a lock is given back, and how it is extended.

#include "engine/giving_back.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "unit/engine/callers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using testing::Caller;
using testing::Process;
using testing::Reply;
using testing::wishes;
using Kind = route::Failure::Kind;

class GivingBackTest : public ::testing::Test {
 protected:
  Process process;
  testing::World& world = process.world;
  testing::FakeServer& server = process.server();

  Wishes waiting(std::chrono::milliseconds limit = 30s) { return wishes(process.now() + limit); }

  std::unique_ptr<Caller> holder(const std::string& key = "key") {
    auto caller = std::make_unique<Caller>(process, waiting(), key);
    caller->start();
    EXPECT_TRUE(world.run_until_is([&] { return caller->is_over(); }));
    EXPECT_TRUE(caller->has_it());
    return caller;
  }

  /// An extension of it that is over.
  Extending::Outcome extend(Caller& caller, std::chrono::milliseconds expiry) {
    Extending extending{process.session, caller.granted().lease, caller.granted().turn, {.expiry = expiry}};
    testing::Drive drive{world, extending, [] {}};
    drive.start();
    EXPECT_TRUE(world.run_until_is([&] { return drive.is_over(); }));
    return extending.outcome();
  }
};

// By the server's own command, where there is one and nobody is known to wait.
TEST_F(GivingBackTest, APlainLock) {
  const auto caller = holder();
  caller->release();
  world.run_for(1ms);
  EXPECT_TRUE(caller->ended_by<GivingBack::Released>());
  EXPECT_EQ(server.count("DELIFEQ"), 1);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(GivingBackTest, ALockThatIsGone) {
  const auto caller = holder();
  server.keys.clear();
  caller->release();
  world.run_for(1ms);
  EXPECT_TRUE(caller->ended_by<GivingBack::Gone>());
}

// Its holder has been told that it is lost, some milliseconds before the server lets it go.
TEST_F(GivingBackTest, ALockThatWasCalledLost) {
  const auto caller = holder();
  const std::stop_token lost = caller->granted().lease->lost_token(caller->granted().turn);
  ASSERT_TRUE(world.run_until_is([&] { return lost.stop_requested(); }));
  ASSERT_EQ(server.keys.count("key"), 1U);
  caller->release();
  world.run_for(1ms);
  EXPECT_TRUE(caller->ended_by<GivingBack::Expired>());
  EXPECT_EQ(server.keys.count("key"), 0U);
}

TEST_F(GivingBackTest, ALockWhoseLeaseHasEnded) {
  const auto caller = holder();
  world.run_for(8s);
  caller->release();
  world.run_for(1ms);
  EXPECT_TRUE(caller->ended_by<GivingBack::Expired>());
}

TEST_F(GivingBackTest, ASecondTime) {
  const auto caller = holder();
  caller->release();
  world.run_for(1ms);
  caller->release();
  EXPECT_TRUE(caller->ended_by<GivingBack::Gone>());
}

// The link broke, and the server is there: it is dialled.
TEST_F(GivingBackTest, ABrokenLinkIsDialledAnew) {
  const auto caller = holder();
  world.break_link();
  caller->release();
  world.run_for(10ms);
  EXPECT_TRUE(caller->ended_by<GivingBack::Released>());
  EXPECT_TRUE(server.keys.empty());
}

// A server that did not answer is not dialled: the rest happens in the background, within the lease.
TEST_F(GivingBackTest, ASilentServerIsNotWaitedForEachTime) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 10; ++i) callers.push_back(holder("key " + std::to_string(i)));
  world.known.note_silence();
  world.break_link();
  server.away = true;
  const Instant begun = process.now();
  for (auto& caller : callers) {
    caller->release();
    ASSERT_TRUE(world.run_until_is([&] { return caller->released(); }));
    EXPECT_TRUE(caller->ended_by<NoAnswer>());
    EXPECT_FALSE(std::get<NoAnswer>(caller->release_outcome()).unknown);
  }
  EXPECT_LE(process.now() - begun, 100ms);
  server.away = false;
  world.run_for(2s);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(GivingBackTest, WhatIsRefusedIsTriedAgainInTheBackground) {
  const auto caller = holder();
  bool refuses = true;
  server.answers_instead = [&](const testing::FakeServer::Words& words) -> std::optional<Reply> {
    if (!refuses || (words.front() != "DELIFEQ" && words.front() != "EVALSHA")) return std::nullopt;
    return Reply::error("OOM command not allowed when used memory > 'maxmemory'.");
  };
  caller->release();
  world.run_for(1ms);
  EXPECT_TRUE(caller->ended_by<protocol::Refusal>());
  refuses = false;
  world.run_for(2s);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(GivingBackTest, AnAnswerThatDoesNotCome) {
  const auto caller = holder();
  server.deaf = true;
  caller->release();
  world.run_until_is([&] { return caller->released(); });
  ASSERT_TRUE(caller->ended_by<NoAnswer>());
  EXPECT_TRUE(std::get<NoAnswer>(caller->release_outcome()).unknown);
  server.deaf = false;
  world.run_for(2s);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(GivingBackTest, DestroyedOnItsWay) {
  for (const auto when : {0us, 50us, 150us}) {
    const auto caller = holder();
    auto next = std::make_unique<Caller>(process, waiting());
    next->start();
    world.run_for(30ms);
    caller->release();
    world.run_for(when);
    caller->drop_release();
    world.run_for(30ms);
    ASSERT_TRUE(next->has_it()) << when.count();
    EXPECT_TRUE(server.has("key", next->granted().lease->value()));
    next->release();
    world.run_for(10ms);
    EXPECT_TRUE(server.keys.empty());
  }
}

// ---- extensions -----------------------------------------------------------------------------------------------------

TEST_F(GivingBackTest, AnExtension) {
  const auto caller = holder();
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, 20s)));
  EXPECT_GT(caller->left(), 19s);
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, 2s)));
  EXPECT_LT(caller->left(), 2s);
}

TEST_F(GivingBackTest, AnExtensionOfALockThatIsGone) {
  const auto caller = holder();
  server.keys.clear();
  EXPECT_TRUE(std::holds_alternative<Extending::Gone>(extend(*caller, 20s)));
  EXPECT_LE(caller->left(), 0ns);
  EXPECT_TRUE(std::holds_alternative<Extending::Ended>(extend(*caller, 20s)));
}

// The renewals go on in time for what it has left.
TEST_F(GivingBackTest, AShortExtensionOfALockThatIsRenewed) {
  Wishes renewed = waiting();
  renewed.renews = true;
  Caller caller{process, renewed, "key"};
  caller.start();
  ASSERT_TRUE(world.run_until_is([&] { return caller.is_over(); }));
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(caller, 1s)));
  EXPECT_LT(caller.left(), 1s);
  world.run_for(5s);
  EXPECT_GT(caller.left(), 4s);
}

// It was asked for less than the time that the answer takes: by then the lease is over, and that is what the holder hears.
TEST_F(GivingBackTest, AnExtensionWhoseAnswerComesTooLate) {
  const auto caller = holder();
  const std::stop_token lost = caller->granted().lease->lost_token(caller->granted().turn);
  world.run_for(10ms);
  server.round_trip = 1500ms;
  EXPECT_TRUE(std::holds_alternative<Extending::Ended>(extend(*caller, 1s)));
  EXPECT_LE(caller->left(), 0ns);
  EXPECT_TRUE(lost.stop_requested());
  EXPECT_TRUE(std::holds_alternative<Extending::Ended>(extend(*caller, 1s)));
}

// It changes nothing, neither at once nor later.
TEST_F(GivingBackTest, AnExtensionThatNeverLeaves) {
  const auto caller = holder();
  world.break_link();
  server.away = true;
  const auto outcome = extend(*caller, 1s);
  ASSERT_TRUE(std::holds_alternative<NoAnswer>(outcome));
  EXPECT_FALSE(std::get<NoAnswer>(outcome).unknown);
  EXPECT_GT(caller->left(), 6s);
  server.away = false;
  EXPECT_TRUE(std::holds_alternative<Extending::Extended>(extend(*caller, 60s)));
  EXPECT_GT(caller->left(), 59s);
}

TEST_F(GivingBackTest, AnExtensionWithoutAnAnswer) {
  const auto caller = holder();
  server.deaf = true;
  const auto outcome = extend(*caller, 60s);
  ASSERT_TRUE(std::holds_alternative<NoAnswer>(outcome));
  EXPECT_TRUE(std::get<NoAnswer>(outcome).unknown);
}

}  // namespace
}  // namespace redismutex::engine
