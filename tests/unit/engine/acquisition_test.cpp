// One caller's way to one lock.

#include "engine/acquisition.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/allocations.hpp"
#include "unit/engine/callers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using testing::Caller;
using testing::How;
using testing::Process;
using testing::Reply;
using testing::wishes;
using Kind = route::Failure::Kind;

class AcquisitionTest : public ::testing::Test {
 protected:
  Process process;
  testing::World& world = process.world;
  testing::FakeServer& server = process.server();

  Wishes waiting(std::chrono::milliseconds limit = 30s) { return wishes(process.now() + limit); }
  Wishes once() {
    Wishes wants = waiting();
    wants.wait_until.reset();
    return wants;
  }

  std::unique_ptr<Caller> start(Wishes wants) {
    auto caller = std::make_unique<Caller>(process, std::move(wants));
    caller->start();
    return caller;
  }
  std::unique_ptr<Caller> finish(Wishes wants) {
    auto caller = start(std::move(wants));
    EXPECT_TRUE(world.run_until_is([&] { return caller->is_over(); }));
    return caller;
  }
  const std::vector<testing::FakeServer::Place>& places() { return server.lines["redismutex:{key}"]; }
};

// The ids tell the number under which the server knows the connection.
TEST_F(AcquisitionTest, ReachesTheServerBeforeItDrawsAnId) {
  const auto caller = finish(once());
  ASSERT_TRUE(caller->has_it());
  EXPECT_TRUE(process.session.identity().known());
  EXPECT_TRUE(caller->granted().lease->value().starts_with(process.session.identity().tag().text().substr(0, 8)));
}

TEST_F(AcquisitionTest, ASingleAttemptAtAServerThatIsAway) {
  server.away = true;
  const auto caller = finish(once());
  ASSERT_TRUE(caller->is<route::Failure>());
  EXPECT_EQ(caller->failure().kind, Kind::unreachable);
}

// The time may be up amid one try more: what the server has said before is what the caller has to know.
TEST_F(AcquisitionTest, AServerThatRefusesAndThenFallsSilent) {
  world.connect();
  server.answers_instead = [](const auto& words) -> std::optional<Reply> {
    if (words.front() == "SET") return Reply::error("LOADING Redis is loading the dataset in memory");
    return std::nullopt;
  };
  const auto caller = start(waiting(1s));
  world.run_for(500ms);
  server.silent = true;
  ASSERT_TRUE(world.run_until_is([&] { return caller->is_over(); }));
  ASSERT_TRUE(caller->is<protocol::Refusal>());
  EXPECT_EQ(caller->refusal().code, "LOADING");
}

// One that may wait waits for a server that is away.
TEST_F(AcquisitionTest, AWaitForAServerThatComesBack) {
  server.away = true;
  const auto caller = start(waiting());
  world.run_for(1s);
  EXPECT_FALSE(caller->is_over());
  server.away = false;
  world.run_for(1s);
  EXPECT_TRUE(caller->has_it());
}

TEST_F(AcquisitionTest, ASingleAttemptFindsItTaken) {
  server.store("key", "another", 10s);
  const auto caller = finish(once());
  EXPECT_TRUE(caller->is<Acquisition::Taken>());
  EXPECT_TRUE(places().empty());
}

// It asks the server also while others of the process wait.
TEST_F(AcquisitionTest, ASingleAttemptStandsInNoLine) {
  const auto holder = finish(waiting());
  const auto second = start(waiting());
  EXPECT_TRUE(finish(once())->is<Acquisition::Taken>());
  EXPECT_FALSE(second->is_over());
}

// An attempt to connect has a limit of its own.
TEST_F(AcquisitionTest, AWaitThatOutlastsTheFirstAttemptToConnect) {
  testing::Relay waker;
  Acquisition acquisition{process.session, protocol::Key{"key"}, waiting(), waker};
  ASSERT_TRUE(std::holds_alternative<route::Procedure::Reach>(acquisition.start(process.now())));
  const route::Failure too_slow{Kind::timed_out, "no connection"};
  const auto step = acquisition.resume(route::Procedure::Unreached{too_slow}, process.now() + 1s);
  EXPECT_TRUE(std::holds_alternative<route::Procedure::Reach>(step));
}

// The news that it has the lock comes on the connection: whoever goes on with the place of another reads there.
TEST_F(AcquisitionTest, ListensWithThePlaceThatItTookOver) {
  server.store("key", "another", 10s);
  process.line_up_other();
  const auto first = start(waiting());
  world.run_for(100ms);
  testing::Relay waker;
  Acquisition second{process.session, protocol::Key{"key"}, waiting(), waker};
  ASSERT_TRUE(std::holds_alternative<route::Procedure::Sleep>(second.start(process.now())));
  first->stop();
  world.run_for(1ms);
  auto step = second.resume(route::Procedure::Woken{}, process.now());
  while (std::holds_alternative<route::Procedure::Reach>(step)) {
    step = second.resume(route::Procedure::Reached{server.link}, process.now());
    if (std::holds_alternative<route::Procedure::Send>(step)) break;
  }
  const auto* rests = std::get_if<route::Procedure::Sleep>(&step);
  if (rests == nullptr) {
    // It looks by itself, and has reached the connection for that.
    EXPECT_TRUE(std::holds_alternative<route::Procedure::Send>(step));
  } else {
    EXPECT_TRUE(rests->listens);
  }
}

// What becomes of its place it hears also where the server may send it no messages.
TEST_F(AcquisitionTest, WithoutMessagesItHearsThatItsPlaceIsGone) {
  server.answers_instead = [](const auto& words) -> std::optional<Reply> {
    if (!words.front().ends_with("SUBSCRIBE")) return std::nullopt;
    return Reply::error("NOPERM this user has no permissions to access one of the channels");
  };
  server.store("key", "another", 10s);
  process.line_up_other();
  const auto caller = start(waiting());
  world.run_for(100ms);
  ASSERT_EQ(places().size(), 2u);
  server.lines.clear();
  world.run_for(1s);  // a little more than the delay
  EXPECT_EQ(places().size(), 1u);
}

// Each has a place of its own.
TEST_F(AcquisitionTest, WithoutHandOffsEachWaitsAtTheServer) {
  server.store("key", "another", 10s);
  Wishes alone = waiting(1s);
  alone.local_handoffs = 0;
  const auto first = start(alone), second = start(alone);
  world.run_for(10ms);
  EXPECT_EQ(places().size(), 2u);
  world.run_for(1s);
  EXPECT_TRUE(first->is<Acquisition::Taken>());
  EXPECT_TRUE(second->is<Acquisition::Taken>());
  world.run_for(10ms);
  EXPECT_TRUE(places().empty());
}

TEST_F(AcquisitionTest, IsHandedTheLock) {
  server.store("key", "another", 300ms);
  const auto caller = finish(waiting());
  ASSERT_TRUE(caller->has_it());
  EXPECT_TRUE(caller->acquisition().waits_since());
}

TEST_F(AcquisitionTest, TellsOnceThatItWaits) {
  int told = 0;
  Wishes wants = waiting(3s);
  wants.on_wait = [&] { ++told; };
  const auto free = finish(wants);
  EXPECT_EQ(told, 0);
  EXPECT_FALSE(free->acquisition().waits_since());
  const auto behind = start(wants);
  EXPECT_EQ(told, 1);
  world.run_for(5s);
  EXPECT_EQ(told, 1);
  free->release();
  world.run_for(1ms);

  server.store("key", "another", 10s);
  wants.wait_until = process.now() + 3s;
  const auto at_server = start(wants);
  world.run_for(5s);
  EXPECT_EQ(told, 2);
}

TEST_F(AcquisitionTest, IsStoppedAnywhere) {
  const auto holder = finish(waiting());
  const auto behind = start(waiting());
  behind->stop();
  ASSERT_TRUE(behind->is<route::Failure>());
  EXPECT_EQ(behind->failure().kind, Kind::cancelled);
  holder->release();
  world.run_for(1ms);

  server.store("key", "another", 10s);
  const auto first = start(waiting());
  world.run_for(10ms);
  first->stop();
  ASSERT_TRUE(first->is<route::Failure>());
  EXPECT_EQ(first->failure().kind, Kind::cancelled);
  world.run_for(10ms);
  EXPECT_TRUE(places().empty());
}

// What nobody takes is given back.
TEST_F(AcquisitionTest, AnOutcomeThatIsNotTaken) {
  {
    const auto caller = start(waiting());
    world.run_until_is([&] { return caller->is_over(); });
    EXPECT_FALSE(server.keys.empty());
  }
  world.run_for(10ms);
  EXPECT_TRUE(server.keys.empty());
}

TEST_F(AcquisitionTest, DestroyedWhileItsRequestIsUnderWay) {
  world.connect();
  for (const auto when : {50us, 150us}) {
    auto caller = start(waiting());
    world.run_for(when);
    caller.reset();
    world.run_for(10ms);
    EXPECT_TRUE(server.keys.empty()) << when.count();
  }
}

// Nothing is allocated for the line; the rest is the lease, its value, and the approach.
TEST_F(AcquisitionTest, FewAllocations) {
  const auto warm = finish(waiting());
  warm->release();
  world.run_for(1ms);
  testing::Relay relay;
  const protocol::Key key{"key"};
  const Wishes wants = waiting();
  const route::Procedure::Step reached = route::Procedure::Reach{};
  const std::uint64_t before = redismutex::testing::allocations();
  Acquisition acquisition{process.session, key, wants, relay};
  acquisition.start(process.now());
  acquisition.resume(route::Procedure::Reached{server.link}, process.now());
  const protocol::Answer ok{.type = protocol::Answer::Type::text, .text = "OK"};
  acquisition.resume(route::Procedure::Answered{{&ok, 1}}, process.now());
  EXPECT_LE(redismutex::testing::allocations() - before, 3u);
  EXPECT_TRUE(std::holds_alternative<Acquisition::Granted>(acquisition.take_outcome()));
}

// ---- many, with faults ----------------------------------------------------------------------------------------------

// Callers that come and go, are stopped and destroyed at any moment, at a server that is away or silent now and then: two never have
// the lock at once, all that hold out get it, and nothing stays behind.
TEST_F(AcquisitionTest, ManyWithFaults) {
  constexpr int seeds = 60;
  int served = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    Process fresh{500ms};
    fresh.world.environment.seed(static_cast<std::uint64_t>(seed));
    std::mt19937 random{static_cast<unsigned>(seed)};
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    std::vector<std::unique_ptr<Caller>> callers;
    std::set<std::string> deleted;  // by a stranger
    const auto check = [&] {
      int inside = 0;
      for (auto& caller : callers) {
        if (!caller || !caller->has_it() || caller->released()) continue;
        if (caller->left() <= 0ns || deleted.contains(caller->granted().lease->value())) continue;
        ++inside;
        ASSERT_TRUE(fresh.server().has("key", caller->granted().lease->value())) << "seed " << seed;
      }
      ASSERT_LE(inside, 1) << "seed " << seed;
    };
    for (int step = 0; step < 400; ++step) {
      if (callers.size() < 12 && chance(2)) {
        Wishes wants = wishes(fresh.now() + std::chrono::milliseconds{50 + random() % 3000});
        wants.expiry = std::chrono::milliseconds{500 + 500 * (random() % 4)};
        wants.fencing = chance(3);
        wants.renews = chance(4);
        wants.local_handoffs = chance(5) ? 0 : 3;
        if (chance(8)) wants.wait_until.reset();
        callers.push_back(std::make_unique<Caller>(fresh, wants));
        callers.back()->start();
      }
      if (!callers.empty()) {
        auto& caller = callers[random() % callers.size()];
        if (caller->has_it() && !caller->released() && chance(2)) {
          caller->release();
          ++served;
          if (chance(10)) caller->drop_release();
        } else if (!caller->is_over() && chance(12)) {
          caller->stop();
        } else if (chance(20)) {
          caller->relay.keeps = !caller->relay.keeps;
          if (!caller->relay.keeps) caller->relay.let_go();
        }
        if (chance(25)) caller.reset();
        std::erase_if(callers,
                      [](const auto& one) { return !one || one->released() || (one->is_over() && !one->has_it()); });
      }
      if (chance(40)) fresh.world.break_link();
      if (chance(60) && fresh.server().keys.contains("key")) {
        deleted.insert(fresh.server().keys.at("key").value);
        fresh.server().remove("key");
      }
      if (chance(60)) fresh.server().away = !fresh.server().away;
      if (fresh.server().away) fresh.world.break_link();
      fresh.world.run_for(std::chrono::microseconds{100 + random() % 20000});
      check();
      if (HasFatalFailure()) return;
    }
    fresh.server().away = false;
    callers.clear();
    fresh.world.run_for(10s);
    for (const auto& [key, stored] : fresh.server().keys) {
      EXPECT_LE(stored.until, fresh.now())
          << "seed " << seed << ": " << key << ", " << (stored.until - fresh.now()) / 1ms;
    }
    Caller last{fresh, wishes(fresh.now() + 1s)};
    last.start();
    fresh.world.run_for(100ms);
    EXPECT_TRUE(last.has_it()) << "seed " << seed;
  }
  EXPECT_GT(served, 10 * seeds);
}

}  // namespace
}  // namespace redismutex::engine
