// What goes on between a state machine and one server, step by step: the test is the driver.

#include "engine/conversation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/script.hpp"
#include "unit/engine/fakes.hpp"
#include "unit/protocol/steps.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Answer;
using protocol::Instant;
using protocol::Request;
using route::Failure;
using route::Procedure;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = Failure::Kind;
using Step = Procedure::Step;

/// Wants what the test says, one after the other, and writes down what it is told.
class ScriptedMachine final : public protocol::Machine {
 public:
  std::deque<protocol::Step> wants;  ///< then it is done
  std::vector<std::string> told;
  bool waits = false;
  std::string mailbox_text;
  Answer last;

  protocol::Step start(Instant /*now*/) override { return note("start"); }
  protocol::Step answered(const Answer& answer) override {
    last = answer;
    const std::string_view text = answer.type == Answer::Type::integer ? std::string_view{"integer"} : answer.text;
    return note("answered " + std::string{text});
  }
  protocol::Step unanswered() override { return note("unanswered"); }
  bool may_wait() const noexcept override { return waits; }
  protocol::Step woken(Instant /*now*/) override { return note("woken"); }
  protocol::Step granted(const protocol::Grant& /*grant*/, Instant /*now*/) override { return note("granted"); }
  protocol::Step told_first(std::chrono::milliseconds /*claim*/, Instant /*now*/) override { return note("first"); }
  protocol::Step refreshed(protocol::Refreshed place, Instant /*now*/) override {
    return note(place == protocol::Refreshed::renewed ? "renewed" : "refreshed");
  }
  std::string_view mailbox() const noexcept override { return mailbox_text; }
  void note_mailbox(std::string_view mailbox) override { mailbox_text = mailbox; }
  protocol::Step wake_at(std::string_view mailbox) override {
    mailbox_text = mailbox;
    return note("wake at");
  }

 private:
  protocol::Step note(std::string what) {
    told.push_back(std::move(what));
    if (wants.empty()) return protocol::Done{};
    const protocol::Step next = wants.front();
    wants.pop_front();
    return next;
  }
};

struct NoWaker final : route::Waker {
  void wake() noexcept override {}
};

class FakeKeeper final : public PlaceKeeper {
 public:
  Instant kept_until = Instant::min();
  std::optional<Instant> renewed_at;
  int rests = 0, wakes = 0;

  Instant rest(Instant /*now*/, Instant /*look_at*/) noexcept override {
    ++rests;
    return kept_until;
  }
  std::optional<Instant> wake(Instant /*now*/) noexcept override {
    ++wakes;
    return std::exchange(renewed_at, std::nullopt);
  }
};

constexpr std::array<std::string_view, 2> get_words{"GET", "key"};
constexpr std::array<std::string_view, 2> next_words{"EXISTS", "line"};
const std::array<std::string_view, 3> script_words{"EVALSHA", protocol::scripts::extend.sha1, "0"};
const std::array<std::string_view, 3> foreign_words{"EVALSHA", protocol::scripts::inspect.sha1, "0"};

const Request get{.arguments = get_words};
const Request script_call{.arguments = script_words, .script = &protocol::scripts::extend};

class ConversationTest : public ::testing::Test {
 protected:
  testing::FakeEnvironment environment;
  std::vector<std::string> log;
  route::Server server{environment, "redis://fake", [this](std::string_view text) { log.emplace_back(text); }};
  WakeUps wake_ups{environment};
  const protocol::Key key{"key"};
  const protocol::OwnerId id{{}};
  NoWaker waker;
  Inbox inbox{wake_ups, key, id, waker};
  FakeKeeper keeper;
  ScriptedMachine machine;
  std::optional<Conversation> conversation;
  std::uint64_t link = 0;

  Instant now() const { return environment.now(); }
  Instant deadline() const { return Instant{1h} + 10s; }
  void pass(Instant::duration time) { environment.set(now() + time); }

  void connect(std::string product = "valkey", std::array<int, 3> version = {9, 0, 0}) {
    server.begin(++link, {.client_id = static_cast<std::int64_t>(link),
                          .server = std::move(product),
                          .version = {version[0], version[1], version[2]},
                          .role = "master",
                          .mode = "standalone"});
  }

  Step start(Conversation::Terms terms) {
    conversation.emplace(environment, server, machine, terms);
    return conversation->start(now());
  }
  Step start() { return start({.deadline = deadline(), .patience = 2s, .inbox = &inbox}); }
  Step resume(Procedure::Event event) { return conversation->resume(std::move(event), now()); }
  Step reached() { return resume(Procedure::Reached{link}); }
  Step unreached(Kind kind, std::string text = "no way") {
    return resume(Procedure::Unreached{{kind, std::move(text)}});
  }
  Step unanswered(Kind kind, std::string text = "it broke") {
    return resume(Procedure::Unanswered{{kind, std::move(text)}});
  }
  Step answer(std::vector<Answer> answers) { return resume(Procedure::Answered{answers}); }
  Step woken() { return resume(Procedure::Woken{}); }

  /// Asked, and on the way.
  Step asked() {
    start();
    return reached();
  }

  static bool reaches(const Step& step) { return std::holds_alternative<Procedure::Reach>(step); }
  static bool is_done(const Step& step) { return std::holds_alternative<Procedure::Done>(step); }
  static std::optional<Instant> sleeps_until(const Step& step) {
    if (const auto* leave = std::get_if<Procedure::Leave>(&step)) return leave->then.until;
    const auto* sleep = std::get_if<Procedure::Sleep>(&step);
    return sleep != nullptr ? std::optional{sleep->until} : std::nullopt;
  }

  /// The first words of what is sent, with an asterisk where the answer is wanted.
  static std::vector<std::string> sent(const Step& step) {
    std::vector<std::string> words;
    const auto* send = std::get_if<Procedure::Send>(&step);
    if (send == nullptr) return words;
    for (const Procedure::Command& command : send->commands) {
      for (int i = 1; i < command.times; ++i) words.emplace_back(command.arguments.front());
      words.push_back(std::string{command.arguments.front()} + (command.wanted ? "*" : ""));
    }
    return words;
  }

  /// The failure it has ended with.
  std::optional<Kind> failed() const {
    const auto& failure = conversation->failure();
    return failure ? std::optional{failure->kind} : std::nullopt;
  }

  bool is_logged(std::string_view part) const {
    return std::any_of(log.begin(), log.end(),
                       [part](const std::string& text) { return text.find(part) != std::string::npos; });
  }

  void SetUp() override { connect(); }
};

// ---- a request ------------------------------------------------------------------------------------------------------

TEST_F(ConversationTest, ARequestIsReachedForSentAndAnswered) {
  machine.wants = {get};
  EXPECT_EQ(std::get<Procedure::Reach>(start()).until, deadline());
  pass(1ms);
  const Step send = reached();
  EXPECT_THAT(sent(send), ElementsAre("GET*"));
  EXPECT_EQ(std::get<Procedure::Send>(send).until, deadline());
  EXPECT_TRUE(conversation->is_unanswered());
  const Instant sent_at = now();
  pass(3ms);
  EXPECT_TRUE(is_done(answer({protocol::text("it")})));
  EXPECT_EQ(machine.last.sent_at, sent_at) << "read before it left";
  EXPECT_EQ(machine.last.now, now());
  EXPECT_FALSE(conversation->is_unanswered());
  EXPECT_FALSE(failed());
  EXPECT_EQ(conversation->link(), link);
  EXPECT_THAT(machine.told, ElementsAre("start", "answered it"));
}

// What goes along with it leaves in the same write; the answers that count are wanted, and no others.
TEST_F(ConversationTest, WhatGoesAlongIsOneWrite) {
  Request request = get;
  request.next = next_words;
  request.wakes_others = true;
  request.times = 3;
  machine.wants = {request};
  EXPECT_THAT(sent(asked()), ElementsAre("PING", "GET", "GET", "GET*", "EXISTS*"));
  answer({protocol::integer(1), protocol::integer(7)});
  EXPECT_EQ(machine.last.next, 7);

  const std::array<protocol::Arguments, 1> joined{next_words};
  request = get;
  request.joined = joined;
  machine.wants = {request};
  EXPECT_THAT(sent(asked()), ElementsAre("MULTI", "GET", "EXISTS", "EXEC*"));
}

TEST_F(ConversationTest, WithoutAConnectionItMayDialOrNot) {
  machine.wants = {get, get};
  EXPECT_TRUE(std::get<Procedure::Reach>(start()).dials);
  EXPECT_FALSE(std::get<Procedure::Reach>(start({.deadline = deadline(), .patience = 2s, .dials = false})).dials);
  const Conversation::Terms sparing{.deadline = deadline(), .patience = 2s, .spares_absent = true};
  machine.wants = {get, get};
  EXPECT_TRUE(std::get<Procedure::Reach>(start(sparing)).dials);
  server.note_silence();
  EXPECT_FALSE(std::get<Procedure::Reach>(start(sparing)).dials);
}

// ---- scripts --------------------------------------------------------------------------------------------------------

// All scripts are loaded, because others will be needed soon, and the request goes right behind them.
TEST_F(ConversationTest, AnUnknownScriptIsLoadedAndAskedForInOneWrite) {
  machine.wants = {script_call};
  asked();
  const Step step = answer({protocol::error("NOSCRIPT No matching script.")});
  const auto words = sent(step);
  ASSERT_EQ(words.size(), protocol::scripts::all.size() + 1);
  EXPECT_EQ(std::count(words.begin(), words.end(), "SCRIPT*"), 1);
  EXPECT_EQ(std::count(words.begin(), words.end(), "SCRIPT"), static_cast<std::ptrdiff_t>(words.size()) - 2);
  EXPECT_EQ(words.back(), "EVALSHA*");
  EXPECT_TRUE(conversation->is_unanswered());
  EXPECT_TRUE(is_done(answer({protocol::text(protocol::scripts::extend.sha1), protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered integer"));
}

// A script that only operators' tools need comes alone.
TEST_F(ConversationTest, AScriptThatIsNotAmongTheUsualOnesIsLoadedAlone) {
  machine.wants = {Request{.arguments = foreign_words, .script = &protocol::scripts::inspect}};
  asked();
  EXPECT_THAT(sent(answer({protocol::error("NOSCRIPT No matching script.")})), ElementsAre("SCRIPT*", "EVALSHA*"));
}

TEST_F(ConversationTest, ARefusalOfTheLoadIsTheAnswer) {
  machine.wants = {script_call};
  asked();
  answer({protocol::error("NOSCRIPT No matching script.")});
  EXPECT_TRUE(is_done(answer({protocol::error("NOPERM no right to load"), protocol::error("NOSCRIPT still")})));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered NOPERM no right to load"));
}

// Once is enough: a server that does not know it after that says so to the machine.
TEST_F(ConversationTest, AScriptIsNotLoadedForEver) {
  machine.wants = {script_call};
  asked();
  answer({protocol::error("NOSCRIPT No matching script.")});
  EXPECT_TRUE(is_done(answer({protocol::text("sha"), protocol::error("NOSCRIPT No matching script.")})));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered NOSCRIPT No matching script."));
}

// ---- pushes ---------------------------------------------------------------------------------------------------------

Request woken_get() {
  Request request = get;
  request.wants_wake_ups = true;
  return request;
}

Request watched_get() {
  Request request = get;
  request.wants_invalidation = true;
  return request;
}

TEST_F(ConversationTest, TheChannelAndTheTrackingGoRightInFrontOfTheRequest) {
  machine.wants = {woken_get(), watched_get()};
  EXPECT_THAT(sent(asked()), ElementsAre("SSUBSCRIBE*", "CLIENT*", "GET*"));
  EXPECT_TRUE(reaches(answer({protocol::other(), protocol::text("OK"), protocol::text("it")})));
  EXPECT_THAT(sent(reached()), ElementsAre("CLIENT", "GET*")) << "once for a connection";
  EXPECT_THAT(log, IsEmpty());
}

// Whoever waits by it looks, and so asks for it once more.
TEST_F(ConversationTest, AChannelThatHadEndedBeforeItWasToldIsAskedForAgain) {
  machine.waits = true;
  machine.wants = {woken_get(), protocol::Pause{.until = deadline()}, woken_get()};
  EXPECT_THAT(sent(asked()), ElementsAre("SSUBSCRIBE*", "CLIENT*", "GET*"));
  EXPECT_FALSE(server.pushes().ended(server.pushes().mailbox().substr(1)));
  const Step rests = answer({protocol::other(), protocol::text("OK"), protocol::text("it")});
  EXPECT_TRUE(std::holds_alternative<Procedure::Sleep>(rests));
  ASSERT_FALSE(inbox.empty());
  EXPECT_TRUE(reaches(resume(Procedure::Woken{})));
  EXPECT_EQ(machine.told.back(), "woken");
  EXPECT_THAT(sent(reached()), ElementsAre("SSUBSCRIBE*", "GET*"));
}

TEST_F(ConversationTest, TrackingIsAskedForBeforeItIsUsed) {
  machine.wants = {watched_get()};
  EXPECT_THAT(sent(asked()), ElementsAre("SSUBSCRIBE*", "CLIENT*", "CLIENT", "GET*"));
}

// A request that nobody is to be woken for does without.
TEST_F(ConversationTest, OthersDoWithout) {
  machine.wants = {get};
  EXPECT_THAT(sent(asked()), ElementsAre("GET*"));
}

// The place that was made in the same write names a channel that is not to be had.
TEST_F(ConversationTest, WithoutAShardedChannelThereIsAPlainOne) {
  machine.wants = {woken_get(), woken_get()};
  machine.mailbox_text = server.pushes().mailbox();
  asked();
  EXPECT_TRUE(
      reaches(answer({protocol::error("NOPERM no right to ssubscribe"), protocol::text("OK"), protocol::integer(1)})));
  EXPECT_TRUE(machine.mailbox_text.starts_with('p'));
  EXPECT_THAT(sent(reached()), ElementsAre("SUBSCRIBE*", "GET*"));
  EXPECT_TRUE(is_done(answer({protocol::other(), protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "wake at", "answered integer"));
  EXPECT_THAT(log, IsEmpty());
}

TEST_F(ConversationTest, WithoutAnyChannelTheLogIsToldAndTheRequestGoesOn) {
  machine.wants = {watched_get(), watched_get()};
  asked();
  EXPECT_TRUE(reaches(answer({protocol::error("NOPERM no right to ssubscribe"),
                              protocol::error("NOPERM no right to client|tracking"), protocol::text("it")})));
  const std::size_t told = log.size();
  EXPECT_EQ(told, 1U);
  EXPECT_THAT(sent(reached()), ElementsAre("SUBSCRIBE*", "GET*"));
  EXPECT_TRUE(is_done(answer({protocol::error("NOPERM no right to subscribe"), protocol::text("it")})));
  EXPECT_EQ(log.size(), told + 1);
  EXPECT_EQ(server.pushes().mailbox(), "-");
}

// A script is loaded once the connection is open.
TEST_F(ConversationTest, AnUnknownScriptOnANewConnection) {
  machine.wants = {script_call};
  std::get<Request>(machine.wants.front()).wants_invalidation = true;
  EXPECT_THAT(sent(asked()), ElementsAre("SSUBSCRIBE*", "CLIENT*", "CLIENT", "EVALSHA*"));
  const Step loads = answer({protocol::other(), protocol::text("OK"), protocol::error("NOSCRIPT No matching script.")});
  EXPECT_EQ(sent(loads).front(), "SCRIPT");
  EXPECT_EQ(sent(loads).back(), "EVALSHA*");
  EXPECT_TRUE(is_done(answer({protocol::text("sha"), protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered integer"));
}

// The place names the channel: when that is another one after all, the machine asks again.
TEST_F(ConversationTest, AMachineWhosePlaceNamesAnotherChannelAsksAgain) {
  machine.wants = {woken_get(), woken_get()};
  machine.mailbox_text = "sredismutex:wake:old";
  asked();
  EXPECT_TRUE(reaches(answer({protocol::other(), protocol::text("OK"), protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "wake at"));
  EXPECT_EQ(machine.mailbox_text, server.pushes().mailbox());
  reached();
  EXPECT_TRUE(is_done(answer({protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "wake at", "answered integer"));
}

// A guess from before the first connection is put right before it leaves.
TEST_F(ConversationTest, AGuessedChannelIsPutRight) {
  route::Server fresh{environment, "redis://fresh", [](std::string_view) {}};
  machine.wants = {get};
  machine.mailbox_text = "sguess";
  Conversation early{environment, fresh, machine, {.deadline = deadline(), .patience = 2s}};
  early.start(now());
  fresh.begin(5, {.client_id = 5, .server = "redis", .version = {6, 2, 0}, .role = "master", .mode = "standalone"});
  early.resume(Procedure::Reached{5}, now());
  EXPECT_EQ(machine.mailbox_text, fresh.pushes().mailbox());
}

// It may have been carried out.
TEST_F(ConversationTest, AConnectionThatBreaksWhileOpeningLeavesTheRequestInDoubt) {
  for (const bool waits : {false, true}) {
    machine.told.clear();
    machine.wants = {woken_get(), woken_get()};
    machine.waits = waits;
    asked();
    EXPECT_TRUE(conversation->is_unanswered());
    EXPECT_TRUE(reaches(unanswered(Kind::unreachable)));
    EXPECT_FALSE(conversation->is_unanswered());
    connect();
    EXPECT_THAT(sent(reached()), ElementsAre("SSUBSCRIBE*", "CLIENT*", "GET*"));
    EXPECT_THAT(machine.told, ElementsAre("start", "unanswered"));
  }
}

// ---- refusals -------------------------------------------------------------------------------------------------------

/// Answers so until it gives up; when it does.
class RefusedTest : public ConversationTest {
 protected:
  int pauses = 0;
  Instant refuse_until_the_end(const std::string& text) {
    for (Step step = asked(); !is_done(step);) {
      step = answer({protocol::error(text)});
      const auto until = sleeps_until(step);
      EXPECT_TRUE(until);
      if (!until || ++pauses > 1000) return {};
      EXPECT_LE(*until, now() + 250ms);
      environment.set(*until);
      step = woken();
      if (reaches(step)) step = reached();
    }
    return now();
  }
};

TEST_F(RefusedTest, IsWaitedOutForAsLongAsPatienceLasts) {
  machine.wants = {get};
  const Instant begun = now();
  EXPECT_EQ(refuse_until_the_end("LOADING Redis is loading the dataset in memory"), begun + 2s);
  EXPECT_GT(pauses, 8);
  EXPECT_THAT(machine.told, ElementsAre("start", "answered LOADING Redis is loading the dataset in memory"));
  EXPECT_FALSE(failed());
}

TEST_F(RefusedTest, IsWaitedOutUntilTheDeadlineByOneThatWaitsAnyway) {
  machine.wants = {get};
  machine.waits = true;
  EXPECT_EQ(refuse_until_the_end("LOADING Redis is loading the dataset in memory"), deadline());
  EXPECT_THAT(machine.told, ElementsAre("start", "answered LOADING Redis is loading the dataset in memory"));
}

TEST_F(RefusedTest, ByTheWrongServerIsLeft) {
  machine.wants = {get};
  asked();
  const Step step = answer({protocol::error("READONLY You can't write against a read only replica.")});
  const auto* leave = std::get_if<Procedure::Leave>(&step);
  ASSERT_NE(leave, nullptr);
  EXPECT_EQ(leave->refusal, "READONLY You can't write against a read only replica.");
  EXPECT_GT(leave->then.until, now());
  EXPECT_LE(leave->then.until, now() + 250ms);
  EXPECT_EQ(conversation->trouble()->kind, Kind::refused);
  EXPECT_TRUE(reaches(woken()));
  connect();
  EXPECT_THAT(sent(reached()), ElementsAre("GET*"));
  EXPECT_TRUE(is_done(answer({protocol::text("it")})));
  EXPECT_FALSE(conversation->trouble());
  EXPECT_THAT(machine.told, ElementsAre("start", "answered it"));
}

// One that does not go by is for the machine.
TEST_F(RefusedTest, ForGoodIsAnAnswer) {
  machine.wants = {get};
  asked();
  EXPECT_TRUE(is_done(answer({protocol::error("NOPERM no right to get")})));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered NOPERM no right to get"));
}

// A connection that is refused for now was no request: the same holds for it.
TEST_F(RefusedTest, AtTheDoorIsWaitedOut) {
  machine.wants = {get};
  start();
  EXPECT_TRUE(sleeps_until(unreached(Kind::turned_away, "LOADING the dataset")));
  EXPECT_TRUE(reaches(woken()));
  pass(2s);
  const auto until = sleeps_until(unreached(Kind::turned_away, "LOADING the dataset"));
  ASSERT_TRUE(until);
  environment.set(*until);
  EXPECT_TRUE(is_done(woken()));
  EXPECT_EQ(failed(), Kind::turned_away);
}

// ---- a server that is away ------------------------------------------------------------------------------------------

TEST_F(ConversationTest, OneThatTriesOnceIsToldAtOnceThatTheServerIsAway) {
  machine.wants = {get};
  start();
  EXPECT_TRUE(is_done(unreached(Kind::unreachable, "connection refused")));
  EXPECT_EQ(failed(), Kind::unreachable);
  EXPECT_THAT(log, IsEmpty());
}

TEST_F(ConversationTest, OneThatWaitsAnywayWaitsForTheServer) {
  machine.wants = {get};
  machine.waits = true;
  start();
  for (int i = 0; i < 5; ++i) {
    const auto until = sleeps_until(unreached(Kind::unreachable, "connection refused"));
    ASSERT_TRUE(until);
    environment.set(*until);
    EXPECT_TRUE(reaches(woken()));
  }
  EXPECT_EQ(log.size(), 1U);
  environment.set(deadline());
  EXPECT_EQ(sleeps_until(unreached(Kind::timed_out, "no time left")), deadline());
  EXPECT_TRUE(is_done(woken()));
  EXPECT_EQ(failed(), Kind::unreachable) << "which says more than that the time is up";
}

// A wrong password does not get better.
TEST_F(ConversationTest, WhatWaitingCanNotHealIsAFailureAtOnce) {
  for (const Kind kind : {Kind::refused_login, Kind::unusable, Kind::exhausted, Kind::cancelled}) {
    machine.wants = {get};
    machine.waits = true;
    start();
    EXPECT_TRUE(is_done(unreached(kind)));
    EXPECT_EQ(failed(), kind);
  }
}

// ---- lost answers ---------------------------------------------------------------------------------------------------

TEST_F(ConversationTest, AfterABrokenConnectionTheMachineSaysWhatToRepeat) {
  machine.wants = {get, script_call};
  asked();
  EXPECT_TRUE(reaches(unanswered(Kind::unreachable, "it broke")));
  EXPECT_EQ(conversation->trouble()->text, "it broke");
  connect();
  EXPECT_THAT(sent(reached()), ElementsAre("EVALSHA*"));
  EXPECT_TRUE(is_done(answer({protocol::integer(1)})));
  EXPECT_THAT(machine.told, ElementsAre("start", "unanswered", "answered integer"));
}

// No repeat would be answered in time either.
TEST_F(ConversationTest, AnAnswerThatIsLateIsAFailureAndTheMachineKnows) {
  machine.wants = {get, get};
  asked();
  EXPECT_TRUE(is_done(unanswered(Kind::timed_out)));
  EXPECT_EQ(failed(), Kind::timed_out);
  EXPECT_THAT(machine.told, ElementsAre("start", "unanswered"));
}

TEST_F(ConversationTest, WhereTheTimeIsUpAmidARepeatTheReasonForThatIsToldToo) {
  machine.wants = {get, get};
  asked();
  unanswered(Kind::unreachable, "it broke");
  connect();
  reached();
  EXPECT_TRUE(is_done(unanswered(Kind::timed_out, "no answer in time")));
  EXPECT_EQ(conversation->failure()->kind, Kind::timed_out);
  EXPECT_EQ(conversation->failure()->text, "no answer in time; before that: it broke");
}

TEST_F(ConversationTest, StoppedAnywhereItIsCancelled) {
  for (int where = 0; where < 4; ++where) {
    machine.wants = {get};
    machine.waits = true;
    start();
    if (where >= 1) reached();
    if (where == 2) answer({protocol::error("LOADING for now")});
    if (where == 3) {
      machine.wants = {protocol::Pause{.until = now() + 1s}};
      answer({protocol::text("later")});
    }
    EXPECT_TRUE(is_done(resume(Procedure::Stopped{}))) << where;
    EXPECT_EQ(failed(), Kind::cancelled) << where;
  }
}

// ---- pauses of the machine ------------------------------------------------------------------------------------------

class RestingTest : public ConversationTest {
 protected:
  Step rest(const protocol::Pause& pause, PlaceKeeper* place_keeper = nullptr) {
    machine.told.clear();
    machine.wants = {woken_get(), pause};
    machine.waits = true;
    start({.deadline = deadline(), .patience = 2s, .inbox = &inbox, .keeper = place_keeper});
    if (sent(reached()).size() == 1) return answer({protocol::integer(1)});
    return answer({protocol::other(), protocol::text("OK"), protocol::integer(1)});
  }
};

TEST_F(RestingTest, ItListensMeanwhile) {
  const Step step = rest({.until = now() + 1s});
  EXPECT_EQ(sleeps_until(step), now() + 1s);
  EXPECT_TRUE(std::get<Procedure::Sleep>(step).listens);
  EXPECT_TRUE(is_done(woken()));
  EXPECT_EQ(machine.told.back(), "woken");
}

TEST_F(RestingTest, TheDeadlineEndsIt) { EXPECT_EQ(sleeps_until(rest({.until = Instant::max()})), deadline()); }

// What says the most is looked at first.
TEST_F(RestingTest, TheMailSaysWhatWokeIt) {
  const std::string name{id.text()};
  rest({.until = now() + 1s});
  wake_ups.deliver(name + " first 500");
  wake_ups.deliver(name + " 1000 1700000000 5 7");
  wake_ups.key_changed("key");
  woken();
  EXPECT_EQ(machine.told.back(), "granted");

  rest({.until = now() + 1s});
  wake_ups.deliver(name + " first 500");
  woken();
  EXPECT_EQ(machine.told.back(), "first");

  rest({.until = now() + 1s});
  wake_ups.place_refreshed(id, protocol::Refreshed::no_place);
  woken();
  EXPECT_EQ(machine.told.back(), "refreshed");

  rest({.until = now() + 1s});
  wake_ups.deliver(name + " first 500");
  resume(Procedure::Woken{.link_broke = true});
  EXPECT_EQ(machine.told.back(), "woken");
}

// As long as others renew its place it rests longer, but not for ever.
TEST_F(RestingTest, TheKeeperProlongsIt) {
  EXPECT_EQ(sleeps_until(rest({.until = now() + 1s}, &keeper)), now() + 1s);
  EXPECT_EQ(keeper.rests, 0) << "not for a pause that has its reasons";
  keeper.kept_until = Instant::min();
  EXPECT_EQ(sleeps_until(rest({.until = now() + 1s, .at_latest = now() + 5s}, &keeper)), now() + 1s);
  keeper.kept_until = now() + 3s;
  EXPECT_EQ(sleeps_until(rest({.until = now() + 1s, .at_latest = now() + 5s}, &keeper)), now() + 3s);
  keeper.kept_until = now() + 8s;
  EXPECT_EQ(sleeps_until(rest({.until = now() + 1s, .at_latest = now() + 5s}, &keeper)), now() + 5s);
  keeper.wakes = 0;
  keeper.renewed_at = now();
  machine.wants = {protocol::Pause{.until = now() + 1s}};
  EXPECT_TRUE(sleeps_until(woken()));
  EXPECT_EQ(machine.told.back(), "renewed");
  EXPECT_EQ(keeper.wakes, 1);
}

TEST_F(RestingTest, TheKeeperHearsOfTheEnd) {
  rest({.until = now() + 1s, .at_latest = now() + 5s}, &keeper);
  keeper.wakes = 0;
  resume(Procedure::Stopped{});
  EXPECT_EQ(keeper.wakes, 1);
}

// ---- another driver -------------------------------------------------------------------------------------------------

class RestartTest : public RestingTest {
 protected:
  Step restart() {
    conversation->change_deadline(now() + 60s);
    return conversation->restart(now());
  }
};

TEST_F(RestartTest, BeforeAnythingWasSent) {
  machine.wants = {get};
  start();
  EXPECT_TRUE(is_done(resume(Procedure::Stopped{})));
  const Step step = restart();
  ASSERT_TRUE(reaches(step));
  EXPECT_EQ(std::get<Procedure::Reach>(step).until, now() + 60s);
  EXPECT_FALSE(failed());
  EXPECT_THAT(sent(reached()), ElementsAre("GET*"));
  EXPECT_THAT(machine.told, ElementsAre("start"));
}

TEST_F(RestartTest, WhileTheChannelWasAskedFor) {
  machine.wants = {woken_get(), get};
  asked();
  resume(Procedure::Stopped{});
  EXPECT_TRUE(reaches(restart()));
  EXPECT_THAT(sent(reached()), ElementsAre("GET*"));
  EXPECT_TRUE(is_done(answer({protocol::text("it")})));
  EXPECT_THAT(machine.told, ElementsAre("start", "unanswered", "answered it"));
}

// The machine is asked what to repeat, because the request may have been carried out.
TEST_F(RestartTest, WhileARequestWasUnderWay) {
  for (const bool loads : {false, true}) {
    machine.told.clear();
    machine.wants = {script_call, get};
    asked();
    if (loads) answer({protocol::error("NOSCRIPT No matching script.")});
    resume(Procedure::Stopped{});
    EXPECT_TRUE(reaches(restart()));
    EXPECT_THAT(sent(reached()), ElementsAre("GET*"));
    EXPECT_THAT(machine.told, ElementsAre("start", "unanswered"));
  }
}

TEST_F(RestartTest, WithoutAWordFromTheDriverBefore) {
  machine.wants = {get, get};
  asked();
  EXPECT_TRUE(reaches(restart()));
  EXPECT_THAT(machine.told, ElementsAre("start", "unanswered"));
}

// The machine was told already: the request is not told of twice.
TEST_F(RestartTest, AfterALateAnswer) {
  machine.wants = {get, script_call};
  asked();
  unanswered(Kind::timed_out);
  EXPECT_TRUE(reaches(restart()));
  EXPECT_THAT(sent(reached()), ElementsAre("EVALSHA*"));
  EXPECT_THAT(machine.told, ElementsAre("start", "unanswered"));
}

TEST_F(RestartTest, AfterAPause) {
  machine.wants = {get};
  machine.waits = true;
  asked();
  answer({protocol::error("LOADING for now")});
  resume(Procedure::Stopped{});
  EXPECT_TRUE(reaches(restart()));
  EXPECT_THAT(sent(reached()), ElementsAre("GET*"));
}

// What came meanwhile is looked at.
TEST_F(RestartTest, WhileItRested) {
  rest({.until = now() + 1s});
  resume(Procedure::Stopped{});
  wake_ups.deliver(std::string{id.text()} + " 1000 1700000000 5 7");
  EXPECT_TRUE(is_done(restart()));
  EXPECT_EQ(machine.told.back(), "granted");
}

TEST_F(RestartTest, AfterTheEnd) {
  machine.wants = {get};
  asked();
  EXPECT_TRUE(is_done(answer({protocol::text("taken")})));
  machine.wants = {get};
  EXPECT_TRUE(reaches(restart()));
  EXPECT_THAT(machine.told, ElementsAre("start", "answered taken", "woken"));
}

// What came while the last driver heard a refusal, or before it had a connection again, has woken somebody who does not wait any more.
TEST_F(RestartTest, WithMailThatNobodyHasRead) {
  const auto deliver_and_restart = [&] {
    wake_ups.deliver(std::string{id.text()} + " 1000 1700000000 5 7");
    EXPECT_TRUE(is_done(restart()));
    EXPECT_EQ(machine.told.back(), "granted");
  };
  inbox.open();
  machine.wants = {get};
  asked();
  EXPECT_TRUE(is_done(answer({protocol::text("refused")})));
  deliver_and_restart();
  machine.wants = {get};
  start();
  EXPECT_TRUE(is_done(resume(Procedure::Stopped{})));
  deliver_and_restart();
}

// Pauses begin from the beginning.
TEST_F(RestartTest, WithNewPatience) {
  machine.wants = {get};
  start();
  unreached(Kind::turned_away);
  pass(2s);
  unreached(Kind::turned_away);
  EXPECT_TRUE(is_done(woken()));
  EXPECT_TRUE(reaches(restart()));
  EXPECT_GT(sleeps_until(unreached(Kind::turned_away)), now());
  EXPECT_TRUE(reaches(woken()));
}

}  // namespace
}  // namespace redismutex::engine
