#include "protocol/acquire.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "protocol/lease.hpp"
#include "unit/protocol/acquire_steps.hpp"

// How a lock is asked for and what the answers mean. How it is waited for is in acquire_line_test.cpp.
namespace redismutex::protocol {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::optional<Instant> held_until(const Acquire& machine) {
  const auto* outcome = held(machine);
  return outcome == nullptr ? std::nullopt : std::optional{outcome->valid_until};
}

/// A machine whose first answer was lost, and which has asked the script.
struct Doubtful {
  explicit Doubtful(const Terms& terms) : machine{key, id, terms} {
    machine.start(at(0ms));
    machine.unanswered();
  }
  Acquire machine;
};

// ---- the short way ----

// The first step is the one command that both asks and takes, with an expiry, whether it waits or not. Nothing goes with it.
TEST(Acquire, BeginsWithOneAtomicCommand) {
  for (const auto& terms : {once, waiting}) {
    Acquire machine{key, id, terms};
    const Step step = machine.start(at(0ms));
    EXPECT_THAT(command(step), is_set());
    EXPECT_THAT(joined_commands(step), IsEmpty());
    EXPECT_EQ(script(step), nullptr);
    EXPECT_TRUE(is_taken(machine));
    EXPECT_FALSE(machine.left_traces());
  }
}

// OK is the lock, valid from when the command was sent, not from when the answer was read.
TEST(Acquire, AFreeKeyIsHeldFromTheTimeOfSending) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(text("OK", {.sent_at = at(5ms), .now = at(400ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(5ms), expiry));
  EXPECT_FALSE(held(machine)->claimed);
  EXPECT_EQ(held(machine)->token, 0u);
  EXPECT_FALSE(machine.met_others());
  EXPECT_FALSE(machine.left_traces());
}

// "Nothing was set" is a taken key: one attempt ends there, and nothing is left to give back.
TEST(Acquire, OneAttemptAtATakenKeyEnds) {
  Acquire machine{key, id, once};
  machine.start(at(0ms));
  EXPECT_TRUE(is_done(machine.answered(nothing())));
  EXPECT_TRUE(is_taken(machine));
  EXPECT_TRUE(machine.met_others());
  EXPECT_FALSE(machine.left_traces());
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

// A lost answer is followed by the script with the same id, as often as it takes, and never by SET again: that could not tell
// the lock that the first attempt took from somebody else's. One attempt takes no place in the line.
TEST(Acquire, ALostAnswerIsFollowedByTheScript) {
  Acquire tries{key, id, once};
  EXPECT_THAT(command(tries.start(at(0ms))), is_set());
  for (int i = 0; i < 3; ++i) {
    const Step step = tries.unanswered();
    EXPECT_THAT(command(step), is_only_try());
    EXPECT_EQ(script(step), &scripts::acquire);
    EXPECT_FALSE(wants_wake_ups(step));
  }
  EXPECT_TRUE(tries.in_doubt());
  EXPECT_TRUE(tries.left_traces());

  Acquire waits{key, id, waiting};
  waits.start(at(0ms));
  const Step step = waits.unanswered();
  EXPECT_THAT(command(step), is_line_up());
  EXPECT_TRUE(wants_wake_ups(step));
}

// The script finds the lock, whether an unanswered attempt took it or not, and starts the lease anew: it is held from the
// sending that was answered.
TEST(Acquire, ALockAfterALostAnswerCountsFromTheLastSending) {
  for (const auto& terms : {once, waiting}) {
    Doubtful doubtful{terms};
    doubtful.machine.unanswered();
    EXPECT_TRUE(is_done(doubtful.machine.answered(has_it({.sent_at = at(600ms), .now = at(640ms)}))));
    EXPECT_EQ(held_until(doubtful.machine), valid_until(at(600ms), expiry));
    EXPECT_FALSE(doubtful.machine.met_others());
    EXPECT_FALSE(doubtful.machine.left_traces());
  }
}

// One attempt that finds the lock taken after a lost answer ends, with something to take back: what was never answered may
// arrive yet.
TEST(Acquire, ATakenLockAfterALostAnswerEndsOneAttempt) {
  Doubtful doubtful{once};
  EXPECT_TRUE(is_done(doubtful.machine.answered(no_place({}))));
  EXPECT_TRUE(is_taken(doubtful.machine));
  EXPECT_TRUE(doubtful.machine.met_others());
  EXPECT_TRUE(doubtful.machine.left_traces());
}

// A refused script ends it, under any terms; the server may still have our lock.
TEST(Acquire, ARefusedScriptEndsItAndLeavesTheLockToGiveBack) {
  for (const auto& terms : {once, waiting}) {
    for (const auto& [answer, said] : {std::pair{error("READONLY You can't write"), "READONLY You can't write"},
                                       std::pair{nothing(), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{text("OK"), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{texts({"OK"}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({0}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({0, 0}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({3}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({4, 0, 0}), "UNEXPECTED answer to acquire.lua"},
                                       std::pair{integers({-1, 0}), "UNEXPECTED answer to acquire.lua"}}) {
      Doubtful doubtful{terms};
      EXPECT_TRUE(is_done(doubtful.machine.answered(answer)));
      EXPECT_EQ(refusal_text(doubtful.machine), said);
      EXPECT_TRUE(doubtful.machine.left_traces());
    }
  }
}

// A place in the line is no answer for one that does not wait.
TEST(Acquire, OneAttemptTakesNoPlace) {
  Doubtful doubtful{once};
  EXPECT_TRUE(is_done(doubtful.machine.answered(in_line(20ms, Place::first))));
  EXPECT_EQ(refusal_text(doubtful.machine), "UNEXPECTED answer to acquire.lua");
}

// ---- late answers ----

// An answer in the last nanosecond of the lease is a lock; one nanosecond later it is none, and is to be given back.
TEST(Acquire, AnAnswerAfterTheLeaseIsNoLock) {
  const Instant end = valid_until(at(0ms), expiry);
  Acquire in_time{key, id, once};
  in_time.start(at(0ms));
  EXPECT_TRUE(is_done(in_time.answered(text("OK", {.sent_at = at(0ms), .now = end - 1ns}))));
  EXPECT_EQ(held_until(in_time), end);

  Acquire late{key, id, once};
  late.start(at(0ms));
  EXPECT_TRUE(is_done(late.answered(text("OK", {.sent_at = at(0ms), .now = end}))));
  EXPECT_TRUE(is_taken(late));
  EXPECT_TRUE(late.left_traces());
}

// A waiter whose lock came too late asks the script, and may find that it still is its own.
TEST(Acquire, AWaiterGoesOnAfterALateAnswer) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_THAT(command(machine.answered(text("OK", {.sent_at = at(0ms), .now = at(8s)}))), is_line_up());
  EXPECT_TRUE(machine.left_traces());
  EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(8s), .now = at(8001ms)}))));
  EXPECT_EQ(held_until(machine), valid_until(at(8s), expiry));
  EXPECT_FALSE(machine.left_traces());
}

// ---- fencing ----

// With a token the short way is one transaction: the same command, the floor, and the server's time.
TEST(Acquire, ATokenIsMadeOfTheFloorAndTheTime) {
  for (const auto& terms : {once, waiting}) {
    Acquire machine{key, id, fenced(terms)};
    const Step step = machine.start(at(0ms));
    EXPECT_THAT(command(step), is_set());
    EXPECT_THAT(joined_commands(step),
                ElementsAre(ElementsAre("GET", "redismutex:floor:{stock}"), ElementsAre("TIME")));
    EXPECT_EQ(script(step), nullptr);
    EXPECT_FALSE(wants_wake_ups(step));
    EXPECT_FALSE(machine.left_traces());
  }
}

// The token is the time in microseconds, where there is no floor, or one below it.
TEST(Acquire, TheTokenIsTheTime) {
  for (const std::optional<std::string_view> floor :
       {std::optional<std::string_view>{}, {"0"}, {"1749999999999999"}, {"1750000000000004"}}) {
    Acquire machine{key, id, fenced(once)};
    machine.start(at(0ms));
    EXPECT_TRUE(
        is_done(machine.answered(texts({"OK", floor, "1750000000", "5"}, {.sent_at = at(1ms), .now = at(2ms)}))));
    ASSERT_TRUE(held(machine)) << floor.value_or("none");
    EXPECT_EQ(held(machine)->token, 1'750'000'000'000'005u);
    EXPECT_EQ(held_until(machine), valid_until(at(1ms), expiry));
    EXPECT_FALSE(machine.met_others());
    EXPECT_FALSE(machine.left_traces());
  }
}

// Nothing in the place of OK is a taken key, whatever the floor: one attempt ends, a waiter lines up.
TEST(Acquire, ATakenKeyEndsAFencedAttempt) {
  for (const std::optional<std::string_view> floor : {std::optional<std::string_view>{}, {"1760000000000000"}, {"x"}}) {
    Acquire tries{key, id, fenced(once)};
    tries.start(at(0ms));
    EXPECT_TRUE(is_done(tries.answered(texts({std::nullopt, floor, "1750000000", "5"}))));
    EXPECT_TRUE(is_taken(tries));
    EXPECT_TRUE(tries.met_others());
    EXPECT_FALSE(tries.left_traces());

    Acquire waits{key, id, fenced(waiting)};
    waits.start(at(0ms));
    const Step step = waits.answered(texts({std::nullopt, floor, "1750000000", "5"}));
    EXPECT_THAT(command(step), is_line_up({.details = fenced_details}));
    EXPECT_TRUE(wants_wake_ups(step));
    EXPECT_TRUE(waits.met_others());
  }
}

// Whatever else comes back is settled by the script, which knows the id: a floor that is not below the time, as after a clock
// was set back; one that is no number; a time that is none; and any refusal, because it may be that of the floor alone.
TEST(Acquire, AnOddTransactionIsSettledByTheScript) {
  const Answer odd[] = {
      texts({"OK", "1750000000000005", "1750000000", "5"}),
      texts({"OK", "1750000000000006", "1750000000", "5"}),
      texts({"OK", "18446744073709551615", "1750000000", "5"}),
      texts({"OK", "18446744073709551616", "1750000000", "5"}),
      texts({"OK", "", "1750000000", "5"}),
      texts({"OK", "x", "1750000000", "5"}),
      texts({"OK", "-1", "1750000000", "5"}),
      texts({"OK", "1 ", "1750000000", "5"}),
      texts({"OK", std::nullopt, std::nullopt, "5"}),
      texts({"OK", std::nullopt, "1750000000", std::nullopt}),
      texts({"OK", std::nullopt, "now", "5"}),
      texts({}),
      texts({"OK"}),
      texts({"OK", std::nullopt, "1750000000"}),
      texts({"OK", std::nullopt, "1750000000", "5", "6"}),
      error("EXECABORT Transaction discarded because of previous errors."),
      error("NOPERM User u has no permissions to run the 'multi' command"),
      nothing(),
      text("OK"),
      integer(1),
      integers({0, 0, 1}),
      other(),
  };
  for (const auto& [terms, most_waiting] : {std::pair{once, "0"}, std::pair{waiting, "10000"}}) {
    for (std::size_t i = 0; i < std::size(odd); ++i) {
      Acquire machine{key, id, fenced(terms)};
      machine.start(at(0ms));
      const Step step = machine.answered(odd[i]);
      EXPECT_THAT(command(step), is_line_up({.details = fenced_details, .most_waiting = most_waiting})) << i;
      EXPECT_EQ(script(step), &scripts::acquire);
      EXPECT_FALSE(machine.met_others());
      EXPECT_TRUE(machine.left_traces());
      EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(8ms), .now = at(9ms)}, 1'750'000'000'000'007))));
      EXPECT_EQ(held(machine)->token, 1'750'000'000'000'007u);
      EXPECT_EQ(held_until(machine), valid_until(at(8ms), expiry));
    }
  }
}

// What the script refuses in its turn is reported.
TEST(Acquire, AFencedRefusalIsThatOfTheScript) {
  Acquire machine{key, id, fenced(once)};
  machine.start(at(0ms));
  machine.answered(error("EXECABORT Transaction discarded because of previous errors."));
  EXPECT_TRUE(is_done(machine.answered(error("OOM command not allowed"))));
  EXPECT_EQ(refusal_text(machine), "OOM command not allowed");
}

// A lost answer is followed by the script, without another transaction.
TEST(Acquire, ALostTransactionIsFollowedByTheScript) {
  Acquire machine{key, id, fenced(once)};
  machine.start(at(0ms));
  const Step step = machine.unanswered();
  EXPECT_THAT(command(step), is_only_try(fenced_details));
  EXPECT_THAT(joined_commands(step), IsEmpty());
  EXPECT_TRUE(is_done(machine.answered(no_place({}))));
  EXPECT_TRUE(is_taken(machine));
  EXPECT_TRUE(machine.left_traces());
}

// A transaction that was answered after the lease is no lock.
TEST(Acquire, ALateTransactionIsNoLock) {
  const Answer late =
      texts({"OK", std::nullopt, "1750000000", "5"}, {.sent_at = at(0ms), .now = valid_until(at(0ms), expiry)});
  Acquire tries{key, id, fenced(once)};
  tries.start(at(0ms));
  EXPECT_TRUE(is_done(tries.answered(late)));
  EXPECT_TRUE(is_taken(tries));
  EXPECT_TRUE(tries.left_traces());

  Acquire waits{key, id, fenced(waiting)};
  waits.start(at(0ms));
  EXPECT_THAT(command(waits.answered(late)), is_line_up({.details = fenced_details}));
}

// The script's answer has the token, to the last digit.
TEST(Acquire, TheAnswerHasTheToken) {
  Acquire machine{key, id, fenced(expecting)};
  EXPECT_THAT(command(machine.start(at(0ms))), is_line_up({.details = fenced_details}));
  EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(1ms), .now = at(2ms)}, 9'007'199'254'740'991))));
  EXPECT_EQ(held(machine)->token, 9'007'199'254'740'991u);
  EXPECT_EQ(held_until(machine), valid_until(at(1ms), expiry));
}

// ---- giving up ----

// A driver whose time limit passes during an attempt learns whether this is a taken lock: somebody else had it before. A free
// key, a refusal and no answer at all are nobody else.
TEST(Acquire, RemembersOthers) {
  Acquire met{key, id, waiting};
  met.start(at(0ms));
  EXPECT_FALSE(met.met_others());
  met.answered(nothing());
  EXPECT_TRUE(met.met_others());
  met.unanswered();
  EXPECT_TRUE(met.met_others());

  for (const Answer& answer : {has_it({}), error("OOM command not allowed"), other()}) {
    Doubtful alone{waiting};
    alone.machine.answered(answer);
    EXPECT_FALSE(alone.machine.met_others());
  }
}

// After an unanswered attempt every ending but the lock itself leaves something to give back: it may arrive yet.
TEST(Acquire, AnUnansweredAttemptLeavesTracesInEveryOtherEnding) {
  Doubtful taken{once};
  EXPECT_TRUE(is_done(taken.machine.answered(no_place({}))));
  EXPECT_TRUE(taken.machine.left_traces());

  Doubtful refused{waiting};
  EXPECT_TRUE(is_done(refused.machine.answered(error("LOADING Redis is loading the dataset in memory"))));
  EXPECT_TRUE(refused.machine.left_traces());

  Acquire full{key, id, waiting};
  full.start(at(0ms));
  full.answered(nothing());
  full.unanswered();
  EXPECT_TRUE(is_done(full.answered(no_place({}))));
  EXPECT_TRUE(std::holds_alternative<Acquire::Full>(full.outcome()));
  EXPECT_TRUE(full.left_traces());
}

}  // namespace
}  // namespace redismutex::protocol
