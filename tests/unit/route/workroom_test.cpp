// What goes on behind the callers' backs, at a server that answers as the test says.

#include "route/workroom.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "integration/fake_server.hpp"
#include "net/workers.hpp"
#include "route/environment.hpp"
#include "route/peer.hpp"
#include "support/eventually.hpp"
#include "support/limits.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using redismutex::testing::eventually;
using redismutex::testing::FakeServer;
using Kind = Failure::Kind;
using Words = std::vector<std::string>;
using End = Background::Operation::End;

// For what must happen.
using testing::limit;

std::string in_resp(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

/// A server that answers what it is sent with the last word of it; `instead` is asked first, after the login.
FakeServer::Answer echo(std::function<std::optional<std::optional<std::string>>(const Words&)> instead = {}) {
  return [login = FakeServer::after_login({}),
          instead = std::move(instead)](const Words& words) -> std::optional<std::string> {
    if (words.at(0) != "ECHO") return login(words);
    if (instead) {
      if (auto answer = instead(words)) return *std::move(answer);
    }
    return in_resp(words.back());
  };
}

/// What became of operations.
class Report {
 public:
  void answered(std::string text) {
    const std::lock_guard lock{mutex_};
    answers_.push_back(std::move(text));
  }
  void failed(Kind kind) {
    const std::lock_guard lock{mutex_};
    failures_.push_back(kind);
  }
  void over(End end) { ++(end == End::done ? done : abandoned); }

  std::vector<std::string> answers() {
    const std::lock_guard lock{mutex_};
    return answers_;
  }
  std::vector<Kind> failures() {
    const std::lock_guard lock{mutex_};
    return failures_;
  }

  bool eventually_over(int count = 1) {
    return eventually(limit, [&] { return done + abandoned >= count; });
  }

  std::atomic<int> done{0}, abandoned{0};

 private:
  std::mutex mutex_;
  std::vector<std::string> answers_;
  std::vector<Kind> failures_;
};

struct Plan {
  std::vector<std::string> says = {"hello"};  ///< in one write
  int times = 1;                              ///< one after the other
  Instant::duration within = limit;           ///< for each step
  bool dials = true;
  bool repeats = false;  ///< what was not answered
  Instant::duration rests{0};
  std::function<void()> on_answer = [] {};
};

class Errand final : public Background::Operation, private Procedure {
 public:
  Errand(std::shared_ptr<Report> report, Plan plan) : report_{std::move(report)}, plan_{std::move(plan)} {
    for (const std::string& word : plan_.says) words_.push_back({"ECHO", word});
    for (const auto& words : words_) commands_.push_back({.arguments = words, .wanted = true});
  }

  Procedure& procedure() noexcept override { return *this; }
  void over(End end) noexcept override { report_->over(end); }

 private:
  Step start(Instant now) override {
    if (plan_.rests.count() > 0) return Sleep{.until = now + plan_.rests};
    return reach(now);
  }

  Step resume(Event&& event, Instant now) override {
    if (std::holds_alternative<Reached>(event)) return Send{.commands = commands_, .until = now + plan_.within};
    if (const auto* answered = std::get_if<Answered>(&event)) {
      for (const protocol::Answer& answer : answered->answers) report_->answered(std::string{answer.text});
      plan_.on_answer();
      if (--plan_.times > 0) return reach(now);
      return Done{};
    }
    if (const auto* unanswered = std::get_if<Unanswered>(&event)) {
      report_->failed(unanswered->failure.kind);
      if (plan_.repeats) return reach(now);
    }
    if (const auto* unreached = std::get_if<Unreached>(&event)) report_->failed(unreached->failure.kind);
    return Done{};
  }

  Reach reach(Instant now) const { return {.until = now + plan_.within, .dials = plan_.dials}; }

  const std::shared_ptr<Report> report_;
  Plan plan_;
  std::vector<std::array<std::string_view, 2>> words_;
  std::vector<Command> commands_;
};

/// A workroom and what it stands on.
class Room {
 public:
  explicit Room(const std::string& url, std::chrono::milliseconds connect_timeout = limit)
      : workroom{peer, reactor}, peer{options(url, connect_timeout), server, reactor, handlers()} {}
  ~Room() { workroom.finish(Instant{}); }

  void start(Plan plan, const std::shared_ptr<Report>& to = {}) {
    workroom.start(std::make_shared<Errand>(to ? to : report, std::move(plan)));
  }

  /// So there is a connection.
  void connect() {
    const auto first = std::make_shared<Report>();
    start({}, first);
    ASSERT_TRUE(first->eventually_over());
    ASSERT_EQ(first->done, 1);
  }

  const std::shared_ptr<Report> report = std::make_shared<Report>();
  std::atomic<bool> dialled_by_a_worker{false};
  net::ReactorOnDemand reactor;
  Server server{operating_system(), "redis://fake", [](std::string_view) {}};
  Workroom workroom;
  Peer peer;

 private:
  static ConnectionOptions options(const std::string& url, std::chrono::milliseconds connect_timeout) {
    ConnectionOptions options = parse_url(url);
    options.connect_timeout = connect_timeout;
    options.command_timeout = limit;
    return options;
  }

  Peer::Handlers handlers() {
    return {.node = {.link = {.on_push = [](net::ReplyView) {},
                              .on_broken =
                                  [this](const net::Link& link) {
                                    server.note_broken(link.id());
                                    workroom.link_broke();
                                  }},
                     .on_linked =
                         [this](const net::Link& link, bool) {
                           dialled_by_a_worker = reactor.get().workers().runs_this_thread();
                           server.begin(link.id(), link.greeting());
                         },
                     .on_failed = [](const Failure&) {}},
            .name_connection = [](const net::Greeting&) { return std::string{"test"}; },
            .on_answered = {}};
  }
};

class DutyOf final : public Background::Duty {
 public:
  explicit DutyOf(std::function<Instant(Instant)> run) : run_{std::move(run)} {}
  Instant run(Instant now) noexcept override { return run_(now); }

 private:
  const std::function<Instant(Instant)> run_;
};

// ---- operations -----------------------------------------------------------------------------------------------------

// Dialling blocks, so a worker does it.
TEST(Workroom, WithoutAConnectionAWorkerDials) {
  const FakeServer server{echo()};
  Room room{server.url()};
  room.start({});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_EQ(room.report->done, 1);
  EXPECT_THAT(room.report->answers(), ::testing::ElementsAre("hello"));
  EXPECT_TRUE(room.dialled_by_a_worker);
}

// Each has its own answers, in their order.
TEST(Workroom, EachOperationHasItsOwnAnswers) {
  const FakeServer server{echo()};
  Room room{server.url()};
  std::vector<std::shared_ptr<Report>> reports;
  for (int i = 0; i < 500; ++i) {
    const std::string name = std::to_string(i);
    room.start({.says = {name + " a", name + " b", name + " c"}, .times = 3},
               reports.emplace_back(std::make_shared<Report>()));
  }
  for (std::size_t i = 0; i < reports.size(); ++i) {
    ASSERT_TRUE(reports[i]->eventually_over());
    ASSERT_EQ(reports[i]->done, 1);
    const auto answers = reports[i]->answers();
    ASSERT_EQ(answers.size(), 9U);
    for (std::size_t k = 0; k < answers.size(); ++k) {
      ASSERT_EQ(answers[k], std::to_string(i) + " " + std::string(1, "abc"[k % 3]));
    }
  }
}

// The server answers none before it has all: so all were under way.
TEST(Workroom, ManyAreUnderWayAtOnce) {
  constexpr int count = 200;
  int asked = 0;
  std::string answers;
  const FakeServer server{echo([&](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "hello") return std::nullopt;
    answers += in_resp(words.back());
    return ++asked == count ? std::exchange(answers, {}) : std::string{};
  })};
  Room room{server.url()};
  room.connect();
  for (int i = 0; i < count; ++i) room.start({.says = {"all"}});
  ASSERT_TRUE(room.report->eventually_over(count));
  EXPECT_EQ(room.report->done, count);
}

// What was sent is in doubt then; it is for the operation to repeat it, on another connection.
TEST(Workroom, ALinkThatBreaksIsToldAndDialledAnew) {
  int asked = 0;
  const FakeServer server{echo([&](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "hello" || ++asked > 1) return std::nullopt;
    return std::optional<std::string>{};
  })};
  Room room{server.url()};
  room.connect();
  const std::uint64_t before = room.server.live_link();
  room.start({.says = {"one", "two"}, .repeats = true});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_EQ(room.report->done, 1);
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::unreachable));
  EXPECT_THAT(room.report->answers(), ::testing::ElementsAre("one", "two"));
  EXPECT_NE(room.server.live_link(), before);
}

// The answer is dropped when it comes after all.
TEST(Workroom, AnAnswerThatIsLateIsWithdrawn) {
  const FakeServer server{echo([](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "silence") return std::string{};
    if (words.back() == "then") return in_resp("late") + in_resp("then");
    return std::nullopt;
  })};
  Room room{server.url()};
  room.connect();
  const Instant begun = now();
  room.start({.says = {"silence"}, .within = 30ms});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_GE(now() - begun, 30ms);
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::timed_out));
  room.start({.says = {"then"}});
  ASSERT_TRUE(room.report->eventually_over(2));
  EXPECT_THAT(room.report->answers(), ::testing::ElementsAre("then"));
}

// A part of the answers is as good as none.
TEST(Workroom, ASendWithOneOfTwoAnswersIsLate) {
  const FakeServer server{echo([](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "silence") return std::string{};
    return std::nullopt;
  })};
  Room room{server.url()};
  room.connect();
  room.start({.says = {"word", "silence"}, .within = 30ms});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::timed_out));
  EXPECT_TRUE(room.report->answers().empty());
}

TEST(Workroom, AServerThatIsNotThereIsToldAtOnce) {
  const std::string url = FakeServer{echo()}.url();
  Room room{url};
  room.start({});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_EQ(room.report->done, 1);
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::unreachable));
}

TEST(Workroom, AnOperationThatDoesNotDialDoesWithout) {
  const FakeServer server{echo()};
  Room room{server.url()};
  room.start({.dials = false});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::unreachable));
}

// A login that hangs holds up neither those that have less time nor the end.
TEST(Workroom, AnOperationDoesNotWaitForADialThatHangs) {
  const FakeServer server{[](const Words&) { return std::string{}; }};
  Room room{server.url()};
  room.start({.within = 30ms});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_THAT(room.report->failures(), ::testing::ElementsAre(Kind::timed_out));
  const Instant begun = now();
  room.workroom.finish(Instant{});
  EXPECT_LT(now() - begun, limit);
}

TEST(Workroom, AnOperationSleepsAsLongAsItSays) {
  const std::string url = FakeServer{echo()}.url();
  Room room{url};
  const Instant begun = now();
  for (const auto rest : {30ms, 10ms, 20ms}) room.start({.rests = rest});
  ASSERT_TRUE(room.report->eventually_over(1));
  EXPECT_GE(now() - begun, 10ms);
  ASSERT_TRUE(room.report->eventually_over(3));
  EXPECT_GE(now() - begun, 30ms);
  EXPECT_EQ(room.report->done, 3);
}

// No memory for the next step: it is not driven any more, and others are.
TEST(Workroom, AnOperationThatThrowsIsAbandoned) {
  const FakeServer server{echo()};
  Room room{server.url()};
  room.start({.on_answer = [] { throw std::bad_alloc{}; }});
  ASSERT_TRUE(room.report->eventually_over());
  EXPECT_EQ(room.report->abandoned, 1);
  room.start({});
  ASSERT_TRUE(room.report->eventually_over(2));
  EXPECT_EQ(room.report->done, 1);
}

// ---- the end --------------------------------------------------------------------------------------------------------

TEST(Workroom, FinishWaitsForWhatIsUnderWay) {
  const FakeServer server{echo()};
  Room room{server.url()};
  for (int i = 0; i < 20; ++i) room.start({.rests = i * 1ms + 1ms});
  for (int i = 0; i < 20; ++i) room.start({.times = 10});
  room.workroom.finish(now() + limit);
  EXPECT_EQ(room.report->done, 40);
  EXPECT_EQ(room.report->abandoned, 0);
}

TEST(Workroom, FinishAbandonsWhatTakesTooLong) {
  const FakeServer server{echo([](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "silence") return std::string{};
    return std::nullopt;
  })};
  Room room{server.url()};
  room.connect();
  for (int i = 0; i < 3; ++i) room.start({.says = {"silence"}});
  room.start({.rests = limit});
  const Instant until = now() + 30ms;
  room.workroom.finish(until);
  EXPECT_GE(now(), until);
  EXPECT_EQ(room.report->abandoned, 4);
  EXPECT_EQ(room.report->done, 0);
}

TEST(Workroom, WhatIsStartedAfterwardsIsAbandonedAtOnce) {
  const FakeServer server{echo()};
  for (const bool was_used : {false, true}) {
    Room room{server.url()};
    if (was_used) room.connect();
    room.workroom.finish(now() + limit);
    room.start({});
    EXPECT_EQ(room.report->abandoned, 1);
    EXPECT_NO_THROW(room.workroom.get_ready());
    room.workroom.finish(now() + limit);
  }
}

// At any time: whoever has the answers in that moment touches nothing that is gone, and each operation is over once.
TEST(Workroom, EndsWhileAnswersArrive) {
  const FakeServer server{echo()};
  const auto reactor = net::Reactor::shared();  // one for all rounds
  for (int round = 0; round < 200; ++round) {
    const auto report = std::make_shared<Report>();
    std::atomic<int> answers{0};
    {
      Room room{server.url()};
      for (int i = 0; i < 20; ++i) {
        room.start({.says = {"one", "two"}, .times = 1000, .on_answer = [&answers] { ++answers; }}, report);
      }
      ASSERT_TRUE(eventually(limit, [&] { return answers > round % 8; }));
    }
    ASSERT_EQ(report->done + report->abandoned, 20);
  }
}

// ---- duties ---------------------------------------------------------------------------------------------------------

TEST(Workroom, ADutyRunsWhenItIsCalledForAndWhenItSaysSo) {
  Room room{"redis://127.0.0.1:1"};
  std::atomic<int> runs{0};
  std::atomic<Instant> last{Instant{}};
  DutyOf duty{[&](Instant now) {
    last = now;
    return ++runs == 1 ? now + 20ms : Instant::max();
  }};
  room.workroom.enlist(duty);
  room.workroom.enlist(duty);
  const Instant called = now();
  room.workroom.call(duty, called + 20ms);
  ASSERT_TRUE(eventually(limit, [&] { return runs == 2; }));
  EXPECT_GE(last.load(), called + 40ms);
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(runs, 2) << "not before it is called for";
  room.workroom.call(duty, called + 1h);
  room.workroom.call(duty, Instant{});
  ASSERT_TRUE(eventually(limit, [&] { return runs == 3; }));
  room.workroom.withdraw(duty);
  room.workroom.call(duty, Instant{});
  DutyOf another{[&](Instant) {
    runs = 100;
    return Instant::max();
  }};
  room.workroom.enlist(another);
  room.workroom.call(another, Instant{});
  ASSERT_TRUE(eventually(limit, [&] { return runs == 100; }));
  room.workroom.withdraw(another);
  EXPECT_EQ(runs, 100);
}

TEST(Workroom, WithdrawWaitsForADutyThatRuns) {
  Room room{"redis://127.0.0.1:1"};
  std::latch runs{1}, may_go_on{1};
  std::atomic<bool> is_through{false};
  DutyOf duty{[&](Instant now) {
    runs.count_down();
    may_go_on.wait();
    is_through = true;
    return now;
  }};
  room.workroom.enlist(duty);
  room.workroom.call(duty, Instant{});
  runs.wait();
  auto withdrawn = std::async(std::launch::async, [&] {
    room.workroom.withdraw(duty);
    return is_through.load();
  });
  EXPECT_EQ(withdrawn.wait_for(20ms), std::future_status::timeout);
  may_go_on.count_down();
  EXPECT_TRUE(withdrawn.get());
}

TEST(Workroom, ADutyMayWithdrawItself) {
  Room room{"redis://127.0.0.1:1"};
  std::atomic<int> runs{0};
  DutyOf* self = nullptr;
  DutyOf duty{[&](Instant now) {
    room.workroom.withdraw(*self);
    ++runs;
    return now;
  }};
  self = &duty;
  room.workroom.enlist(duty);
  room.workroom.call(duty, Instant{});
  ASSERT_TRUE(eventually(limit, [&] { return runs == 1; }));
  room.workroom.withdraw(duty);
  EXPECT_EQ(runs, 1);
}

// It may start operations, and those that it calls for in their end.
TEST(Workroom, ADutyMayStartOperations) {
  const FakeServer server{echo()};
  Room room{server.url()};
  DutyOf duty{[&](Instant) {
    room.start({});
    return Instant::max();
  }};
  room.workroom.enlist(duty);
  room.workroom.call(duty, Instant{});
  EXPECT_TRUE(room.report->eventually_over());
  room.workroom.withdraw(duty);
  EXPECT_EQ(room.report->done, 1);
}

// As long as somebody listens, a connection that broke is dialled again without an operation.
TEST(Workroom, WhileItListensItKeepsAConnection) {
  const FakeServer server{echo([](const Words& words) -> std::optional<std::optional<std::string>> {
    if (words.back() == "break") return std::optional<std::string>{};
    return std::nullopt;
  })};
  Room room{server.url()};
  DutyOf duty{[&](Instant) {
    room.workroom.listen(true);
    return Instant::max();
  }};
  room.workroom.enlist(duty);
  room.workroom.call(duty, Instant{});
  ASSERT_TRUE(eventually(limit, [&] { return room.server.live_link() != 0; }));
  const std::uint64_t first = room.server.live_link();
  room.start({.says = {"break"}});
  EXPECT_TRUE(eventually(limit, [&] {
    const std::uint64_t present = room.server.live_link();
    return present != 0 && present != first;
  }));
  room.workroom.withdraw(duty);
}

}  // namespace
}  // namespace redismutex::route
