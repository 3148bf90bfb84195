// Operations that rest in the Background until there is news for them.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "integration/fake_server.hpp"
#include "net/workers.hpp"
#include "route/background.hpp"
#include "route/environment.hpp"
#include "route/helps.hpp"
#include "route/peer.hpp"
#include "route/server.hpp"
#include "route/workroom.hpp"
#include "support/allocations.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using redismutex::testing::eventually;
using redismutex::testing::FakeServer;

// For what must happen.
using testing::limit;

/// What is known of a Sleeper from outside.
struct Seen {
  std::atomic<Waker*> waker{nullptr};
  std::atomic<int> wakes{0};
  std::atomic<bool> sleeps{false}, link_broke{false}, over{false};
};

/// Reaches the server, if it listens, and sleeps until it was woken so often.
class Resting final : public Background::Operation, private Procedure {
 public:
  Resting(std::shared_ptr<Seen> seen, bool listens, int wakes = 1, Instant until = Instant::max())
      : seen_{std::move(seen)}, listens_{listens}, left_{wakes}, until_{until} {}

 private:
  Procedure& procedure() noexcept override { return *this; }
  void note_waker(Waker* waker) noexcept override { seen_->waker = waker; }
  void over(End /*end*/) noexcept override {
    seen_->waker = nullptr;
    seen_->over = true;
  }

  Step start(Instant now) override {
    if (listens_) return Reach{.until = now + limit};
    return sleep();
  }
  Step resume(Event&& event, Instant /*now*/) override {
    const auto* const woken = std::get_if<Woken>(&event);
    if (woken == nullptr) return sleep();
    ++seen_->wakes;
    if (woken->link_broke) seen_->link_broke = true;
    return --left_ > 0 ? sleep() : Step{Done{}};
  }
  Step sleep() {
    seen_->sleeps = true;
    return Sleep{.until = until_, .listens = listens_};
  }

  const std::shared_ptr<Seen> seen_;
  const bool listens_;
  int left_;
  const Instant until_;
};

/// Asks for an ECHO.
class Asking final : public Background::Operation, private Procedure {
 private:
  Procedure& procedure() noexcept override { return *this; }
  void over(End /*end*/) noexcept override {}
  Step start(Instant now) override { return Reach{.until = now + limit}; }
  Step resume(Event&& event, Instant now) override {
    if (!std::holds_alternative<Reached>(event)) return Done{};
    return Send{.commands = commands_, .until = now + limit};
  }

  const std::array<std::string_view, 2> words_{"ECHO", "hello"};
  const std::array<Command, 1> commands_{{{.arguments = words_, .wanted = true}}};
};

class WorkroomWaking : public ::testing::Test {
 protected:
  ~WorkroomWaking() override {
    answers_echo.count_down();
    workroom.finish(Instant{});
  }

  static ConnectionOptions options(const std::string& url) {
    ConnectionOptions options = parse_url(url);
    options.connect_timeout = limit;
    options.command_timeout = limit;
    return options;
  }

  bool eventually_over() const {
    return eventually(limit, [this] { return seen->over.load(); });
  }

  std::latch asked_for_echo{1}, answers_echo{1};
  FakeServer fake{[this, login = FakeServer::after_login({})](const auto& words) -> std::optional<std::string> {
    if (words.at(0) != "ECHO") return login(words);
    asked_for_echo.count_down();
    answers_echo.wait();
    return std::nullopt;
  }};
  net::ReactorOnDemand reactor;
  Server server{operating_system(), "redis://fake", [](std::string_view) {}};
  Workroom workroom{peer, reactor};
  Peer peer{options(fake.url()),
            server,
            reactor,
            {.node = {.link = {.on_push = [](net::ReplyView) {},
                               .on_broken = [this](const net::Link&) { workroom.link_broke(); }},
                      .on_linked = [](const net::Link&, bool) {},
                      .on_failed = [](const Failure&) {},
                      .on_replaced = [](const net::Link&) {}},
             .name_connection = [](const net::Greeting&) { return std::string{}; },
             .on_answered = {}}};
  const std::shared_ptr<Seen> seen = std::make_shared<Seen>();
};

TEST_F(WorkroomWaking, OneThatSleepsGoesOnWhenItIsWoken) {
  workroom.start(std::make_shared<Resting>(seen, false));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  seen->waker.load()->wake();
  EXPECT_TRUE(eventually_over());
  EXPECT_EQ(seen->wakes, 1);
}

// What a loop allocates for an operation, and the reactor frees, is what both would contend for.
TEST_F(WorkroomWaking, TheNextOperationNeedsNoMemory) {
  workroom.start(std::make_shared<Resting>(seen, false));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  seen->waker.load()->wake();
  ASSERT_TRUE(eventually_over());
  // It is told that it is over before its place is free.
  EXPECT_TRUE(eventually(limit, [this] {
    const auto next = std::make_shared<Resting>(std::make_shared<Seen>(), false);
    const auto before = redismutex::testing::allocations();
    workroom.start(next);
    return redismutex::testing::allocations() == before;
  }));
}

/// Does not begin.
class Failing final : public Background::Operation, private Procedure {
 public:
  explicit Failing(std::shared_ptr<Seen> seen) : seen_{std::move(seen)} {}

 private:
  Procedure& procedure() noexcept override { return *this; }
  void note_waker(Waker* waker) noexcept override { seen_->waker = waker; }
  void over(End /*end*/) noexcept override { seen_->over = true; }
  Step start(Instant /*now*/) override {
    throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again)};
  }
  Step resume(Event&& /*event*/, Instant /*now*/) override { return Done{}; }

  const std::shared_ptr<Seen> seen_;
};

// Others may wake it at any time; what that leads to is gone.
TEST_F(WorkroomWaking, OneThatCanNotBeginIsNotLedToAnyMore) {
  const auto operation = std::make_shared<Failing>(seen);
  EXPECT_THROW(workroom.start_here(operation), std::system_error);
  EXPECT_EQ(seen->waker, nullptr);
  EXPECT_FALSE(seen->over);
}

// It may be in users' code, which takes its time.
TEST_F(WorkroomWaking, WhatAThreadThatHelpsHasWokenDoesNotWaitForItForLong) {
  workroom.start(std::make_shared<Resting>(seen, false));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  const Helps helps{workroom};
  seen->waker.load()->wake();
  EXPECT_TRUE(eventually_over());
}

// Also what it wakes later, when the reactor has gone on for it once.
TEST_F(WorkroomWaking, WhatAThreadThatHelpsWakesLaterDoesNotWaitForItEither) {
  // Another one that has its time, for which the reactor makes its next round.
  workroom.start(std::make_shared<Resting>(seen, false, 1, operating_system().now() + 10min));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  const Helps helps{workroom};
  for (int i = 0; i < 3; ++i) {
    const auto next = std::make_shared<Seen>();
    workroom.start(std::make_shared<Resting>(next, false));
    ASSERT_TRUE(eventually(limit, [&] { return next->sleeps.load(); })) << i;
    next->waker.load()->wake();
    ASSERT_TRUE(eventually(limit, [&] { return next->over.load(); })) << i;
  }
}

TEST_F(WorkroomWaking, OneThatIsWokenBeforeItSleepsDoesNotSleep) {
  auto operation = std::make_shared<Resting>(seen, false);
  std::promise<void> begun, may_go_on;
  class Holdup final : public Background::Duty {
   public:
    Holdup(std::promise<void>& begun, std::promise<void>& may_go_on) : begun_{begun}, may_go_on_{may_go_on} {}
    Instant run(Instant /*now*/) noexcept override {
      begun_.set_value();
      may_go_on_.get_future().wait();
      return Instant::max();
    }

   private:
    std::promise<void>&begun_, &may_go_on_;
  } holdup{begun, may_go_on};
  workroom.enlist(holdup);
  workroom.call(holdup, now());
  begun.get_future().wait();
  workroom.start(std::move(operation));
  seen->waker.load()->wake();
  may_go_on.set_value();
  EXPECT_TRUE(eventually_over());
  workroom.withdraw(holdup);
}

TEST_F(WorkroomWaking, EachWakeUpCounts) {
  workroom.start(std::make_shared<Resting>(seen, false, 1'000'000));
  for (int i = 1; i <= 1000; ++i) {
    const int before = seen->wakes;
    seen->waker.load()->wake();
    seen->waker.load()->wake();
    ASSERT_TRUE(eventually(limit, [&] { return seen->wakes > before; }));
  }
}

TEST_F(WorkroomWaking, OneThatListensHearsOfTheEndOfItsConnection) {
  workroom.start(std::make_shared<Resting>(seen, true));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  peer.present_link()->fail({Failure::Kind::unreachable, "cut"});
  EXPECT_TRUE(eventually_over());
  EXPECT_TRUE(seen->link_broke);
}

// It was left for another server, while something was in flight there still: so it breaks later than that.
TEST_F(WorkroomWaking, OneThatListensHearsOfTheEndOfAConnectionThatIsNotThePresentOne) {
  workroom.start(std::make_shared<Resting>(seen, true));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  workroom.start(std::make_shared<Asking>());
  asked_for_echo.wait();
  const auto link = peer.present_link();
  peer.leave(link, {.refusal = "READONLY", .then = {}});
  ASSERT_FALSE(link->broken());
  const auto other = std::make_shared<Seen>();
  workroom.start(std::make_shared<Resting>(other, false));
  ASSERT_TRUE(eventually(limit, [&] { return other->sleeps.load(); }));
  other->waker.load()->wake();
  ASSERT_TRUE(eventually(limit, [&] { return other->over.load(); })) << "there was a round";
  EXPECT_FALSE(seen->over);
  link->fail({Failure::Kind::unreachable, "cut"});
  EXPECT_TRUE(eventually_over());
  EXPECT_TRUE(seen->link_broke);
}

// A server that refuses is dialled again after a pause, and what it has said is told to those who wait. One that is only not the one that is
// looked for is no failure.
TEST_F(WorkroomWaking, LeavingAServerThatRefusesNothingIsNoFailure) {
  using Kind = Failure::Kind;
  const auto link_after = [this](Kind kind, std::chrono::milliseconds left) {
    for (int i = 0; i < 3; ++i) {
      auto link = peer.link(now() + limit, {});
      if (const auto* there = std::get_if<std::shared_ptr<net::Link>>(&link)) {
        peer.leave(*there, {.refusal = "it is another one", .then = {}, .kind = kind});
      }
    }
    return std::get<Failure>(peer.link(now() + left, {}));
  };
  const Failure elsewhere = link_after(Kind::unreachable, 0ms);
  EXPECT_EQ(elsewhere.kind, Kind::timed_out);
  EXPECT_EQ(elsewhere.text, "no connection within 0 ms") << "nothing has failed";
  EXPECT_EQ(link_after(Kind::refused, 0ms).kind, Kind::refused);
}

TEST_F(WorkroomWaking, IsAbandonedWithWhatSleepsThere) {
  workroom.start(std::make_shared<Resting>(seen, true));
  ASSERT_TRUE(eventually(limit, [this] { return seen->sleeps.load(); }));
  seen->waker.load()->wake();
  workroom.finish(Instant{});
  EXPECT_TRUE(seen->over);
}

}  // namespace
}  // namespace redismutex::route
