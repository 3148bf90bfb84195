// Many who wait in lines lose their connection, and all have to ask on the next one.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "route/throttle.hpp"
#include "unit/engine/place_waiters.hpp"

namespace redismutex::engine {
namespace {

using namespace testing;
using route::Throttle;
using Words = FakeServer::Words;

constexpr int many = 1'000;

/// How many questions for a lock the server has got, of which no answer has arrived.
class Questions {
 public:
  explicit Questions(Engine& engine) : engine_{engine} {
    engine_.world.server.answers_instead = [this](const Words& words) -> std::optional<Reply> {
      if (is_question(words)) note();
      return std::nullopt;
    };
  }
  ~Questions() { engine_.world.server.answers_instead = nullptr; }

  int most = 0;
  int all = 0;

 private:
  static bool is_question(const Words& words) {
    return words.front() == "EVALSHA" && words.at(1) == protocol::scripts::acquire.sha1;
  }

  /// Its answer is there half a round trip later; the question left half a round trip ago.
  void note() {
    ++all;
    most = std::max(most, ++present_);
    engine_.world.events.after(engine_.world.server.round_trip / 2, [this] { --present_; });
  }

  Engine& engine_;
  int present_ = 0;
};

class ReconnectionTest : public ::testing::Test {
 protected:
  Engine engine;

  bool nobody_waits_to_ask() {
    // Then there is room for so many.
    struct NoWaker final : route::Waker {
      void wake() noexcept override {}
    } waker;
    std::vector<std::unique_ptr<Throttle::Entry>> entries;
    Throttle& throttle = engine.world.known.throttle();
    for (std::size_t i = 0; i < Throttle::most; ++i) {
      entries.push_back(std::make_unique<Throttle::Entry>(throttle, waker));
    }
    return std::all_of(entries.begin(), entries.end(), [](const auto& entry) { return entry->may_ask(); });
  }

  /// The place names the channel of this connection.
  bool all_can_be_woken(const Waiters& waiters) {
    const std::string mailbox = engine.world.known.pushes().mailbox();
    return std::all_of(waiters.begin(), waiters.end(), [&](const auto& waiter) {
      return engine.world.server.lines.at(std::string{waiter->key.line()}).front().details.ends_with(mailbox);
    });
  }
};

// Not more than a server answers in time ask at once, and each does.
TEST_F(ReconnectionTest, FewAskAtATimeAndAllDo) {
  engine.world.server.round_trip = 10ms;
  const Waiters waiters = wait_at_many_keys(engine, many, 5s);
  engine.world.run_for(1s);
  ASSERT_TRUE(all_are_in_line(engine, waiters));
  {
    const Questions questions{engine};
    engine.world.break_link();
    engine.world.run_for(4s);
    EXPECT_LE(questions.most, static_cast<int>(Throttle::most));
    EXPECT_EQ(questions.all, 2 * many) << "once as before, which tells of the other channel, and once by its name";
  }
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  EXPECT_TRUE(all_can_be_woken(waiters));
  EXPECT_TRUE(nobody_waits_to_ask());
}

// It breaks again while most of them wait for their turn.
TEST_F(ReconnectionTest, TheTurnsOutliveTheNextConnection) {
  engine.world.server.round_trip = 10ms;
  const Waiters waiters = wait_at_many_keys(engine, many, 5s);
  engine.world.run_for(1s);
  const Questions questions{engine};
  for (int i = 0; i < 5; ++i) {
    engine.world.break_link();
    engine.world.run_for(55ms);
  }
  engine.world.run_for(4s);
  EXPECT_LE(questions.most, 2 * static_cast<int>(Throttle::most)) << "with those whose connection broke";
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  EXPECT_TRUE(all_can_be_woken(waiters));
  EXPECT_TRUE(nobody_waits_to_ask());
}

// A time limit ends the wait for the turn, too.
TEST_F(ReconnectionTest, ATimeLimitIsKeptMeanwhile) {
  engine.world.server.round_trip = 10ms;
  const Waiters waiters = wait_at_many_keys(engine, many, 5s);
  const Instant until = engine.world.now() + 1100ms;
  engine.world.server.store("soon", "somebody", 1h);
  Waiter impatient{engine, "soon", 5s, 1100ms};
  engine.world.run_for(1s);
  engine.world.server.deaf = true;  // so that nobody's turn ends
  engine.world.break_link();
  engine.world.run_until(until + 1ms);
  EXPECT_TRUE(impatient.conversation.over);
  EXPECT_TRUE(std::holds_alternative<protocol::Acquire::Taken>(impatient.machine.outcome()));
  EXPECT_FALSE(impatient.conversation.inner->failure()) << "the lock is taken";
}

// One that is stopped while it waits for its turn keeps up nobody, nor does one that is destroyed with its turn.
TEST_F(ReconnectionTest, ThoseWhoLeaveKeepUpNobody) {
  engine.world.server.round_trip = 10ms;
  Waiters waiters = wait_at_many_keys(engine, many, 5s);
  engine.world.run_for(1s);
  engine.world.break_link();
  engine.world.run_for(45ms);
  for (std::size_t i = 0; i < many / 2; ++i) {
    if (i % 2 == 0 && !waiters[i]->conversation.over) waiters[i]->conversation.drive.stop();
  }
  waiters.erase(waiters.begin(), waiters.begin() + many / 2);
  engine.world.run_for(3s);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  EXPECT_TRUE(all_can_be_woken(waiters));
  EXPECT_TRUE(nobody_waits_to_ask());
}

// Another driver goes on with one that waited for its turn.
TEST_F(ReconnectionTest, AnotherDriverGoesOn) {
  engine.world.server.round_trip = 10ms;
  Waiters waiters = wait_at_many_keys(engine, many, 5s);
  engine.world.run_for(1s);
  engine.world.break_link();
  engine.world.run_for(45ms);
  Waiter& last = *waiters.back();
  Drive other{engine.world, last.conversation, {}};
  last.conversation.drive.stop();
  ASSERT_TRUE(last.conversation.over);
  struct Restarted final : route::Procedure {
    explicit Restarted(Conversation& what) : conversation{what} {}
    Step start(Instant now) override { return conversation.restart(now); }
    Step resume(Event&& event, Instant now) override { return conversation.resume(std::move(event), now); }
    Conversation& conversation;
  } restarted{*last.conversation.inner};
  Drive drive{engine.world, restarted, {}};
  last.inbox.change_waker(drive);
  drive.start();
  engine.world.run_for(3s);
  EXPECT_TRUE(all_are_in_line(engine, waiters));
  EXPECT_TRUE(all_can_be_woken(waiters));
}

// Who never lined up is not held up by those who did.
TEST_F(ReconnectionTest, NewOnesGoAtOnce) {
  engine.world.server.round_trip = 10ms;
  const Waiters waiters = wait_at_many_keys(engine, many, 5s);
  engine.world.run_for(1s);
  engine.world.break_link();
  engine.world.run_for(25ms);
  Waiter fresh{engine, "free", 5s};
  engine.world.run_for(45ms);
  EXPECT_TRUE(fresh.holds());
}

}  // namespace
}  // namespace redismutex::engine
