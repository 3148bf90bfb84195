#include "protocol/acquire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/lease.hpp"
#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Lt;
using ::testing::Optional;

const Key key{"stock"};
const OwnerId id{{}};
const std::string own = id.text();
constexpr std::string_view foreign = "somebody else";

constexpr auto expiry = 1000ms;  // so the lease is valid for 988 ms
constexpr Acquire::Terms once{.expiry = expiry, .wait_until = std::nullopt, .delay = 300ms};
constexpr Acquire::Terms waiting{.expiry = expiry, .wait_until = at(10s), .delay = 300ms};

const auto is_set = ElementsAre("SET", "stock", own, "NX", "GET", "PX", "1000");
const auto is_extend = ElementsAre("EVALSHA", scripts::extend.sha1, "1", "stock", own, "1000");

std::optional<Instant> held_until(const Acquire& machine) {
  const auto* held = std::get_if<Acquire::Held>(&machine.outcome());
  return held == nullptr ? std::nullopt : std::optional{held->valid_until};
}

bool is_taken(const Acquire& machine) { return std::holds_alternative<Acquire::Taken>(machine.outcome()); }

std::string refusal_code(const Acquire& machine) {
  const auto* refused = std::get_if<Refusal>(&machine.outcome());
  return refused == nullptr ? "" : refused->code;
}

/// A machine that found its own id and has sent the extension.
struct Extending {
  explicit Extending(Acquire::Terms terms) : machine{key, id, terms} {
    machine.start(at(0ms));
    machine.unanswered();
    machine.answered(text(own, {.sent_at = at(10ms), .now = at(20ms)}));
  }
  Acquire machine;
};

// ---- asking ----

// The first step is the one command that both asks and takes, with an expiry, whatever the terms.
TEST(Acquire, BeginsWithOneAtomicCommand) {
  for (const auto& terms : {once, waiting}) {
    Acquire machine{key, id, terms};
    const Step step = machine.start(at(0ms));
    EXPECT_THAT(command(step), is_set);
    EXPECT_EQ(script(step), nullptr);
    EXPECT_TRUE(is_taken(machine));
    EXPECT_FALSE(machine.perhaps_held());
  }
}

// "The key was not there" is the lock, valid from when the command was sent, not from when the answer was read.
TEST(Acquire, AFreeKeyIsHeldFromTheTimeOfSending) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(nothing({.sent_at = at(5ms), .now = at(400ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(5ms), expiry));
  EXPECT_FALSE(machine.perhaps_held());
}

// One attempt at a taken key ends there, and nothing is left to give back.
TEST(Acquire, OneAttemptAtATakenKeyEnds) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(text(foreign))));
  EXPECT_TRUE(is_taken(machine));
  EXPECT_FALSE(machine.perhaps_held());
}

// An id that is our own but for one character, or is its beginning, is somebody else's.
TEST(Acquire, OnlyTheWholeIdIsOurOwn) {
  for (const std::string& value : {own.substr(1), own.substr(0, own.size() - 1), own + " ", std::string{}}) {
    Acquire machine{key, id, once};
    machine.start(at(0ms));
    EXPECT_TRUE(is_done(machine.answered(text(value)))) << value;
    EXPECT_TRUE(is_taken(machine));
  }
}

// An error, and any answer that SET never has, ends even a wait, and is reported.
TEST(Acquire, ARefusalEndsIt) {
  for (const auto& terms : {once, waiting}) {
    for (const auto& [answer, code] : {std::pair{error("OOM command not allowed"), "OOM"},
                                       std::pair{integer(1), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
      Acquire machine{key, id, terms};
      machine.start(at(0ms));
      EXPECT_TRUE(is_done(machine.answered(answer)));
      EXPECT_EQ(refusal_code(machine), code);
      EXPECT_FALSE(machine.perhaps_held());  // the one attempt was answered
    }
  }
}

// ---- lost answers ----

// A lost answer is followed by the same command with the same id; the free key it finds counts from the second sending.
TEST(Acquire, ALostAnswerIsAskedForAgain) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_THAT(command(machine.unanswered()), is_set);
  EXPECT_THAT(command(machine.unanswered()), is_set);
  EXPECT_TRUE(machine.perhaps_held());
  EXPECT_TRUE(is_done(machine.answered(nothing({.sent_at = at(700ms), .now = at(701ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(700ms), expiry));
  EXPECT_FALSE(machine.perhaps_held());
}

// Our own id at the key means that an unanswered attempt took it. When is unknown, so the lease is started anew.
TEST(Acquire, OurOwnIdAtTheKeyIsExtended) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  machine.unanswered();
  const Step step = machine.answered(text(own));
  EXPECT_THAT(command(step), is_extend);
  EXPECT_EQ(script(step), &scripts::extend);
  EXPECT_TRUE(machine.perhaps_held());
}

// The extension's own sending is what the lease counts from.
TEST(Acquire, AnExtendedLeaseCountsFromTheExtension) {
  Extending extending{once};
  EXPECT_TRUE(is_done(extending.machine.answered(integer(1, {.sent_at = at(600ms), .now = at(640ms)}))));
  EXPECT_EQ(held_until(extending.machine), valid_until(at(600ms), expiry));
  EXPECT_FALSE(extending.machine.perhaps_held());
}

// The lock that was found again ended before the extension arrived: it is asked for anew, under one attempt too.
TEST(Acquire, AnExtensionThatCameTooLateAsksAnew) {
  for (const auto& terms : {once, waiting}) {
    Extending extending{terms};
    EXPECT_THAT(command(extending.machine.answered(integer(0))), is_set);
    EXPECT_TRUE(is_done(extending.machine.answered(nothing({.sent_at = at(30ms), .now = at(40ms)}))));
    EXPECT_EQ(held_until(extending.machine), valid_until(at(30ms), expiry));
  }
}

// An extension whose answer is lost is no reason to believe in the lock: the key is looked at again.
TEST(Acquire, AnUnansweredExtensionAsksAnew) {
  Extending extending{once};
  EXPECT_THAT(command(extending.machine.unanswered()), is_set);
  EXPECT_TRUE(extending.machine.perhaps_held());
  EXPECT_THAT(command(extending.machine.answered(text(own))), is_extend);
  EXPECT_TRUE(is_done(extending.machine.answered(integer(1, {.sent_at = at(50ms), .now = at(60ms)}))));
  EXPECT_EQ(held_until(extending.machine), valid_until(at(50ms), expiry));
}

// A refused extension ends it, under any terms; the server still has our lock.
TEST(Acquire, ARefusedExtensionEndsItAndLeavesTheLockToGiveBack) {
  for (const auto& terms : {once, waiting}) {
    for (const auto& [answer, code] :
         {std::pair{error("READONLY You can't write against a read only replica."), "READONLY"},
          std::pair{nothing(), "UNEXPECTED"}, std::pair{text(own), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
      Extending extending{terms};
      EXPECT_TRUE(is_done(extending.machine.answered(answer)));
      EXPECT_EQ(refusal_code(extending.machine), code);
      EXPECT_TRUE(extending.machine.perhaps_held());
    }
  }
}

// ---- late answers ----

// An answer in the last nanosecond of the lease is a lock; one nanosecond later it is none, and is to be given back.
TEST(Acquire, AnAnswerAfterTheLeaseIsNoLock) {
  const Instant end = valid_until(at(0ms), expiry);
  Acquire in_time{key, id, once};
  in_time.start(at(0ms));
  EXPECT_TRUE(is_done(in_time.answered(nothing({.sent_at = at(0ms), .now = end - 1ns}))));
  EXPECT_EQ(held_until(in_time), end);

  Acquire late{key, id, once};
  late.start(at(0ms));
  EXPECT_TRUE(is_done(late.answered(nothing({.sent_at = at(0ms), .now = end}))));
  EXPECT_TRUE(is_taken(late));
  EXPECT_TRUE(late.perhaps_held());
}

// The same for the answer to an extension.
TEST(Acquire, AnExtensionAnsweredAfterTheLeaseIsNoLock) {
  Extending extending{once};
  EXPECT_TRUE(is_done(extending.machine.answered(integer(1, {.sent_at = at(50ms), .now = at(50ms) + expiry}))));
  EXPECT_TRUE(is_taken(extending.machine));
  EXPECT_TRUE(extending.machine.perhaps_held());
}

// A waiter whose lock came too late tries on, and may find and extend what it took.
TEST(Acquire, AWaiterTriesOnAfterALateAnswer) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_TRUE(pause(machine.answered(nothing({.sent_at = at(0ms), .now = at(2s)}))));
  EXPECT_TRUE(machine.perhaps_held());
  EXPECT_THAT(command(machine.woken(at(2300ms))), is_set);
  EXPECT_THAT(command(machine.answered(text(own, {.sent_at = at(2300ms), .now = at(2310ms)}))), is_extend);
  EXPECT_TRUE(is_done(machine.answered(integer(1, {.sent_at = at(2310ms), .now = at(2320ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(2310ms), expiry));
  EXPECT_FALSE(machine.perhaps_held());
}

// ---- waiting ----

// Between two looks at a taken key lies the delay, counted from the answer.
TEST(Acquire, AWaiterPausesForTheDelay) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_EQ(pause(machine.answered(text(foreign, {.now = at(7ms)}))), at(307ms));
  EXPECT_THAT(command(machine.woken(at(307ms))), is_set);
  EXPECT_EQ(pause(machine.answered(text(foreign, {.now = at(1s)}))), at(1300ms));
  EXPECT_FALSE(machine.perhaps_held());
}

// Driven without a lag, a waiter looks once a delay and ends at its limit: not after it, and not before the last look,
// which comes so shortly before the limit that its answer is just in time.
TEST(Acquire, AWaiterLooksAtTheKeyUntilTheLimit) {
  for (const auto delay : {1ms, 299ms, 300ms, 999ms, 2000ms}) {
    const Instant limit = at(1s);
    Acquire machine{key, id, {.expiry = expiry, .wait_until = limit, .delay = delay}};
    Step step = machine.start(at(0ms));
    Instant now = at(0ms), last_look = now;
    while (!is_done(step)) {
      if (const auto until = pause(step)) {
        EXPECT_GT(*until, now);
        EXPECT_LE(*until, now + delay + 10ms);
        EXPECT_LE(*until, limit);
        now = *until;
        step = machine.woken(now);
      } else {
        last_look = now;
        step = machine.answered(text(foreign, {.sent_at = now, .now = now}));
      }
    }
    EXPECT_EQ(now, limit) << delay.count();
    EXPECT_THAT(last_look, AllOf(Ge(limit - 10ms), Lt(limit))) << delay.count();
    EXPECT_TRUE(is_taken(machine));
    EXPECT_FALSE(machine.perhaps_held());
  }
}

// A taken key found at the limit, or after it, ends the wait at once; so does waking up there.
TEST(Acquire, TheLimitEndsTheWait) {
  for (const Instant now : {at(10s), at(11s)}) {
    Acquire answered{key, id, waiting};
    answered.start(at(0ms));
    EXPECT_TRUE(is_done(answered.answered(text(foreign, {.now = now}))));
    EXPECT_TRUE(is_taken(answered));

    Acquire woken{key, id, waiting};
    woken.start(at(0ms));
    woken.answered(text(foreign));
    EXPECT_TRUE(is_done(woken.woken(now)));
    EXPECT_TRUE(is_taken(woken));
  }
}

// A free key that is found after the limit is nevertheless the lock: to give it back would help nobody.
TEST(Acquire, AFreeKeyFoundAfterTheLimitIsHeld) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(nothing({.sent_at = at(9999ms), .now = at(10001ms)}))));
  EXPECT_TRUE(held_until(machine));
}

// ---- giving up ----

// A driver whose time limit passes during a look learns whether this is a taken lock: somebody else had it before. Our
// own id, a free key, a refusal and no answer at all are nobody else.
TEST(Acquire, RemembersOthers) {
  Acquire met{key, id, waiting};
  met.start(at(0ms));
  EXPECT_FALSE(met.met_others());
  met.answered(text(foreign));
  EXPECT_TRUE(met.met_others());
  met.woken(at(300ms));
  met.unanswered();
  EXPECT_TRUE(met.met_others());

  for (const Answer& answer : {nothing(), text(own), error("OOM command not allowed"), other()}) {
    Acquire alone{key, id, waiting};
    alone.start(at(0ms));
    alone.unanswered();
    alone.answered(answer);
    EXPECT_FALSE(alone.met_others());
  }
}

// After an unanswered attempt every ending but the lock itself leaves something to give back: it may arrive yet.
TEST(Acquire, AnUnansweredAttemptIsPerhapsHeldInEveryOtherEnding) {
  Acquire taken{key, id, once};
  taken.start(at(0ms));
  taken.unanswered();
  EXPECT_TRUE(is_done(taken.answered(text(foreign))));
  EXPECT_TRUE(taken.perhaps_held());

  Acquire refused{key, id, waiting};
  refused.start(at(0ms));
  refused.unanswered();
  EXPECT_TRUE(is_done(refused.answered(error("LOADING Redis is loading the dataset in memory"))));
  EXPECT_EQ(refusal_code(refused), "LOADING");
  EXPECT_TRUE(refused.perhaps_held());

  Acquire outlasted{key, id, waiting};
  outlasted.start(at(0ms));
  outlasted.unanswered();
  outlasted.answered(text(foreign, {.now = at(9999ms)}));
  EXPECT_TRUE(is_done(outlasted.woken(at(10s))));
  EXPECT_TRUE(is_taken(outlasted));
  EXPECT_TRUE(outlasted.perhaps_held());
}

// A driver that stops in a pause leaves nothing behind, one that stops after a lost answer perhaps a lock.
TEST(Acquire, ADriverMayStopAtAnyTime) {
  Acquire paused{key, id, waiting};
  paused.start(at(0ms));
  paused.answered(text(foreign));
  EXPECT_FALSE(paused.perhaps_held());

  Acquire lost{key, id, waiting};
  lost.start(at(0ms));
  lost.answered(text(foreign));
  lost.woken(at(300ms));
  lost.unanswered();
  EXPECT_TRUE(lost.perhaps_held());
}

}  // namespace
}  // namespace redismutex::protocol
