#include "protocol/acquire.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "protocol/lease.hpp"
#include "unit/protocol/acquire_steps.hpp"

// How a lock is asked for and what the answers mean. How it is waited for is in acquire_queue_test.cpp.
namespace redismutex::protocol {
namespace {

Terms fenced(Terms terms) {
  terms.fencing = Fencing::with_token;
  return terms;
}

std::optional<Instant> held_until(const Acquire& machine) {
  const auto* outcome = held(machine);
  return outcome == nullptr ? std::nullopt : std::optional{outcome->valid_until};
}

/// A machine that found its own id at the key, after a lost answer, and has asked for a lease of its own.
struct FoundItself {
  explicit FoundItself(const Terms& terms) : machine{key, id, terms} {
    machine.start(at(0ms));
    machine.unanswered();
    machine.answered(text(own, {.sent_at = at(10ms), .now = at(20ms)}));
  }
  Acquire machine;
};

// ---- the short way ----

// The first step is the one command that both asks and takes, with an expiry, whether it waits or not.
TEST(Acquire, BeginsWithOneAtomicCommand) {
  for (const auto& terms : {once, waiting}) {
    Acquire machine{key, id, terms};
    const Step step = machine.start(at(0ms));
    EXPECT_THAT(command(step), is_set());
    EXPECT_EQ(script(step), nullptr);
    EXPECT_TRUE(is_taken(machine));
    EXPECT_FALSE(machine.left_traces());
  }
}

// "The key was not there" is the lock, valid from when the command was sent, not from when the answer was read.
TEST(Acquire, AFreeKeyIsHeldFromTheTimeOfSending) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(nothing({.sent_at = at(5ms), .now = at(400ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(5ms), expiry));
  EXPECT_FALSE(held(machine)->claimed);
  EXPECT_EQ(held(machine)->token, 0u);
  EXPECT_FALSE(machine.met_others());
  EXPECT_FALSE(machine.left_traces());
}

// One attempt at a taken key ends there, and nothing is left to give back.
TEST(Acquire, OneAttemptAtATakenKeyEnds) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(text(foreign))));
  EXPECT_TRUE(is_taken(machine));
  EXPECT_TRUE(machine.met_others());
  EXPECT_FALSE(machine.left_traces());
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
    for (const auto& [answer, said] :
         {std::pair{error("OOM command not allowed"), "OOM command not allowed"},
          std::pair{integer(1), "UNEXPECTED answer to SET"}, std::pair{other(), "UNEXPECTED answer to SET"}}) {
      Acquire machine{key, id, terms};
      machine.start(at(0ms));
      EXPECT_TRUE(is_done(machine.answered(answer)));
      EXPECT_EQ(refusal_text(machine), said);
      EXPECT_FALSE(machine.left_traces());  // the one attempt was answered
    }
  }
}

// ---- lost answers ----

// A lost answer is followed by the same command with the same id; the free key it finds counts from the second sending.
TEST(Acquire, ALostAnswerIsAskedForAgain) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_THAT(command(machine.unanswered()), is_set());
  EXPECT_THAT(command(machine.unanswered()), is_set());
  EXPECT_TRUE(machine.in_doubt());
  EXPECT_TRUE(machine.left_traces());
  EXPECT_TRUE(is_done(machine.answered(nothing({.sent_at = at(700ms), .now = at(701ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(700ms), expiry));
  EXPECT_FALSE(machine.left_traces());
}

// Our own id at the key means that an unanswered attempt took it. When is unknown, so the script starts the lease anew:
// from its own sending on, and without a place in the line for one that does not wait.
TEST(Acquire, OurOwnIdAtTheKeyIsAskedForALease) {
  for (const auto& [terms, most_waiting] : {std::pair{once, "0"}, std::pair{waiting, "10000"}}) {
    Acquire machine{key, id, terms};
    machine.start(at(0ms));
    machine.unanswered();
    const Step step = machine.answered(text(own));
    EXPECT_THAT(command(step), is_line_up("0", most_waiting));
    EXPECT_EQ(script(step), &scripts::acquire);
    EXPECT_TRUE(machine.left_traces());
    EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(600ms), .now = at(640ms)}))));
    EXPECT_EQ(held_until(machine), valid_until(at(600ms), expiry));
    EXPECT_FALSE(machine.left_traces());
  }
}

// The lock that was found again went to somebody else before the script arrived: one attempt ends, with something to take
// back, because what was never answered may arrive yet.
TEST(Acquire, ALockThatWasFoundAgainMayBeGone) {
  FoundItself found{once};
  EXPECT_TRUE(is_done(found.machine.answered(no_place({}))));
  EXPECT_TRUE(is_taken(found.machine));
  EXPECT_TRUE(found.machine.left_traces());
}

// A refused script ends it, under any terms; the server still has our lock.
TEST(Acquire, ARefusedScriptEndsItAndLeavesTheLockToGiveBack) {
  for (const auto& terms : {once, waiting}) {
    for (const auto& [answer, said] : {std::pair{error("READONLY You can't write"), "READONLY You can't write"},
                                       std::pair{nothing(), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{text(own), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({0}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({0, 0}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({3, 0, 0}), "UNEXPECTED answer to acquire.lua"}}) {
      FoundItself found{terms};
      EXPECT_TRUE(is_done(found.machine.answered(answer)));
      EXPECT_EQ(refusal_text(found.machine), said);
      EXPECT_TRUE(found.machine.left_traces());
    }
  }
}

// A place in the line is no answer for one that does not wait.
TEST(Acquire, OneAttemptTakesNoPlace) {
  FoundItself found{once};
  EXPECT_TRUE(is_done(found.machine.answered(in_line(20ms, Place::first))));
  EXPECT_EQ(refusal_text(found.machine), "UNEXPECTED answer to acquire.lua");
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
  EXPECT_TRUE(late.left_traces());
}

// A waiter whose lock came too late asks the script, and may find that it still is its own.
TEST(Acquire, AWaiterGoesOnAfterALateAnswer) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_THAT(command(machine.answered(nothing({.sent_at = at(0ms), .now = at(8s)}))), is_line_up());
  EXPECT_TRUE(machine.left_traces());
  EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(8s), .now = at(8001ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(8s), expiry));
  EXPECT_FALSE(machine.left_traces());
}

// ---- fencing ----

// A token comes from the script, which is asked at once, whether it waits or not; only waiters have themselves woken.
TEST(Acquire, ATokenIsAskedForAtTheScript) {
  Acquire waits{key, id, fenced(waiting)};
  const Step waits_step = waits.start(at(0ms));
  EXPECT_THAT(command(waits_step), is_line_up("1"));
  EXPECT_TRUE(std::get<Request>(waits_step).wants_wake_ups);

  Acquire tries{key, id, fenced(once)};
  const Step tries_step = tries.start(at(0ms));
  EXPECT_THAT(command(tries_step), is_line_up("1", "0"));
  EXPECT_EQ(script(tries_step), &scripts::acquire);
  EXPECT_FALSE(std::get<Request>(tries_step).wants_wake_ups);
}

// The answer has the token, to the last digit.
TEST(Acquire, TheAnswerHasTheToken) {
  Acquire machine{key, id, fenced(once)};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(1ms), .now = at(2ms)}, 9'007'199'254'740'991))));
  EXPECT_EQ(held(machine)->token, 9'007'199'254'740'991u);
  EXPECT_EQ(held_until(machine), valid_until(at(1ms), expiry));
}

// One attempt that finds the lock taken ends there; nothing is left but what an unanswered one may have left.
TEST(Acquire, ATakenLockEndsAFencedAttempt) {
  Acquire machine{key, id, fenced(once)};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(no_place({}))));
  EXPECT_TRUE(is_taken(machine));
  EXPECT_TRUE(machine.met_others());
  EXPECT_FALSE(machine.left_traces());

  Acquire doubtful{key, id, fenced(once)};
  doubtful.start(at(0ms));
  EXPECT_THAT(command(doubtful.unanswered()), is_line_up("1", "0"));
  EXPECT_TRUE(is_done(doubtful.answered(no_place({}))));
  EXPECT_TRUE(is_taken(doubtful));
  EXPECT_TRUE(doubtful.left_traces());
}

// ---- giving up ----

// A driver whose time limit passes during an attempt learns whether this is a taken lock: somebody else had it before. Our
// own id, a free key, a refusal and no answer at all are nobody else.
TEST(Acquire, RemembersOthers) {
  Acquire met{key, id, waiting};
  met.start(at(0ms));
  EXPECT_FALSE(met.met_others());
  met.answered(text(foreign));
  EXPECT_TRUE(met.met_others());
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
TEST(Acquire, AnUnansweredAttemptLeavesTracesInEveryOtherEnding) {
  Acquire taken{key, id, once};
  taken.start(at(0ms));
  taken.unanswered();
  EXPECT_TRUE(is_done(taken.answered(text(foreign))));
  EXPECT_TRUE(taken.left_traces());

  Acquire refused{key, id, waiting};
  refused.start(at(0ms));
  refused.unanswered();
  EXPECT_TRUE(is_done(refused.answered(error("LOADING Redis is loading the dataset in memory"))));
  EXPECT_TRUE(refused.left_traces());

  Acquire full{key, id, waiting};
  full.start(at(0ms));
  full.answered(text(foreign));
  full.unanswered();
  EXPECT_TRUE(is_done(full.answered(no_place({}))));
  EXPECT_TRUE(std::holds_alternative<Acquire::Full>(full.outcome()));
  EXPECT_TRUE(full.left_traces());
}

}  // namespace
}  // namespace redismutex::protocol
