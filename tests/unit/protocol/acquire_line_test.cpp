#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "protocol/lease.hpp"
#include "unit/protocol/acquire_steps.hpp"

// How a waiter behaves in the line at the server. What comes before is in acquire_test.cpp.
namespace redismutex::protocol {
namespace {

using ::testing::ElementsAre;

/// The terms of `waiting` with another delay, lease and mailbox, of a waiter that asks the script at once.
Terms other_terms(milliseconds between, milliseconds lease, std::string_view reached_at) {
  return {.expiry = lease, .wait_until = at(30s), .delay = between, .mailbox = reached_at, .expect_line = true};
}

/// A waiter that found the lock taken and has asked for a place.
struct Asking {
  explicit Asking(const Terms& terms = waiting) : machine{key, id, terms} {
    machine.start(at(0ms));
    if (!terms.expect_line) machine.answered(nothing());
  }
  Acquire machine;
};

/// One that got it, at time 0.
struct Waiting : Asking {
  explicit Waiting(Place place, std::int64_t pttl = 5000, const Terms& terms = waiting) : Asking{terms} {
    pause = std::get<Pause>(machine.answered(in_line(0ms, place, pttl))).until;
  }
  Instant pause;
};

// ---- into the line ----

// A waiter that finds the lock taken asks for a place, with the channel to wake it at, and with all that the script needs.
// One attempt does not.
TEST(AcquireLine, ATakenLockIsWaitedForInLine) {
  Acquire waits{key, id, waiting};
  EXPECT_THAT(command(waits.start(at(0ms))), is_set());
  const Step step = waits.answered(nothing());
  EXPECT_THAT(command(step), is_line_up());
  EXPECT_EQ(script(step), &scripts::acquire);
  EXPECT_TRUE(wants_wake_ups(step));
  EXPECT_FALSE(wants_invalidation(step));
  EXPECT_TRUE(waits.left_traces());
  EXPECT_TRUE(waits.met_others());

  Acquire tries{key, id, once};
  tries.start(at(0ms));
  EXPECT_TRUE(is_done(tries.answered(nothing())));
  EXPECT_TRUE(is_taken(tries));
  EXPECT_FALSE(tries.left_traces());
  EXPECT_TRUE(tries.met_others());
}

// Where the lock was taken the last time, a waiter asks for a place at once. One attempt always goes the short way.
TEST(AcquireLine, AnExpectedLineIsJoinedAtOnce) {
  Acquire waits{key, id, expecting};
  EXPECT_THAT(command(waits.start(at(0ms))), is_line_up());
  EXPECT_FALSE(waits.met_others());

  Terms tries = expecting;
  tries.wait_until.reset();
  Acquire machine{key, id, tries};
  EXPECT_THAT(command(machine.start(at(0ms))), is_set());
}

// The window for which a silent waiter counts as alive leaves room for three lost or late looks.
TEST(AcquireLine, TheWindowOutlastsThreeDelays) {
  for (const auto& [between, window] :
       {std::pair{1ms, "1003"}, std::pair{500ms, "2500"}, std::pair{10000ms, "31000"}}) {
    Acquire machine{key, id, {.expiry = expiry, .wait_until = at(30s), .delay = between, .expect_line = true}};
    EXPECT_EQ(command(machine.start(at(0ms)))[9], window);
  }
}

// The details of a place are a digit, the lease that it is to be handed where that is not the usual second, and the mailbox:
// a sharded channel, a plain one, or none.
TEST(AcquireLine, ThePlaceSaysWhatTheServerHasToKnow) {
  struct Case {
    Terms terms;
    std::string_view details;
  };
  for (
      const auto& [terms, details] : {
          Case{other_terms(500ms, 7s, "sA"), "0sA"},
          Case{other_terms(500ms, 7s, "pA"), "0pA"},
          // 1: it wants a fencing token.
          Case{fenced(other_terms(500ms, 7s, "sA")), "1sA"},
          // 2: its next look comes later than the lease that it is handed ends, so it wants to be told when it is the first.
          Case{other_terms(1000ms, 7s, "sA"), "0sA"},
          Case{other_terms(1001ms, 7s, "sA"), "2sA"},
          Case{fenced(other_terms(5s, 7s, "pA")), "3pA"},
          // 4: a lease that is shorter than a second is what it is handed.
          Case{other_terms(100ms, 1000ms, "sA"), "0sA"},
          Case{other_terms(100ms, 999ms, "sA"), "4999 sA"},
          Case{fenced(other_terms(100ms, 300ms, "pA")), "5300 pA"},
          Case{other_terms(300ms, 300ms, "sA"), "4300 sA"},
          Case{other_terms(301ms, 300ms, "sA"), "6300 sA"},
          Case{fenced(other_terms(500ms, 300ms, "sA")), "7300 sA"},
          // Nothing wakes a waiter without a mailbox: it is handed a lease that lasts until it looks, and told nothing.
          Case{other_terms(500ms, 7s, "-"), "42500 -"},
          Case{other_terms(5s, 7s, "-"), "47000 -"},
          Case{fenced(other_terms(500ms, 2s, "-")), "52000 -"},
          Case{other_terms(500ms, 1s, "-"), "0-"},
      }) {
    Acquire machine{key, id, terms};
    EXPECT_EQ(command(machine.start(at(0ms)))[8], details);
    EXPECT_EQ(machine.details(), details);
    EXPECT_EQ(machine.mailbox(), terms.mailbox);
  }
}

// A waiter without a mailbox subscribes to nothing.
TEST(AcquireLine, WithoutAMailboxNothingIsSubscribedTo) {
  Acquire machine{key, id, other_terms(delay, expiry, "-")};
  EXPECT_FALSE(wants_wake_ups(machine.start(at(0ms))));
}

// A server that does not let us have a channel is asked once more, without one: the place must not promise that we hear.
TEST(AcquireLine, ARefusedChannelIsTakenBack) {
  Asking asking;
  const Step step = asking.machine.wake_at("-");
  EXPECT_THAT(command(step), is_line_up({.details = "42500 -", .was = plain_details}));
  EXPECT_FALSE(wants_wake_ups(step));
  EXPECT_EQ(pause(asking.machine.answered(in_line(10ms, Place::behind))), at(510ms));
}

// The script may find the lock free: it is held from the time of sending, with the full lease.
TEST(AcquireLine, TheScriptMayFindTheLockFree) {
  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(100ms), .now = at(900ms)}))));
  ASSERT_TRUE(held(asking.machine));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(100ms), expiry));
  EXPECT_FALSE(held(asking.machine)->claimed);
  EXPECT_FALSE(asking.machine.left_traces());
}

// A line that is full ends it at once, and leaves nothing to take back.
TEST(AcquireLine, AFullLineEndsIt) {
  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(no_place({.sent_at = at(1ms), .now = at(2ms)}))));
  EXPECT_TRUE(std::holds_alternative<Acquire::Full>(asking.machine.outcome()));
  EXPECT_FALSE(asking.machine.left_traces());
  EXPECT_TRUE(asking.machine.met_others());
}

// Any answer that the script does not have ends it and is reported; whether we have a place is then unknown.
TEST(AcquireLine, ARefusedPlaceEndsIt) {
  for (const auto& [answer, said] : {std::pair{error("OOM command not allowed"), "OOM command not allowed"},
                                     std::pair{nothing(), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{text(own), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{integer(0), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{integers({4, 0}), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{other(), "UNEXPECTED answer to acquire.lua"}}) {
    Asking asking;
    EXPECT_TRUE(is_done(asking.machine.answered(answer)));
    EXPECT_EQ(refusal_text(asking.machine), said);
    EXPECT_TRUE(asking.machine.left_traces());
  }
}

// The key is free, but there are more dead waiters than one run may look at: the script is asked again at once, by one attempt
// too.
TEST(AcquireLine, DeadWaitersAreAReasonToAskAgain) {
  Asking asking;
  for (int i = 0; i < 3; ++i) {
    const Step step = asking.machine.answered(ask_again({.sent_at = at(10ms), .now = at(11ms)}));
    EXPECT_THAT(command(step), is_line_up());
    EXPECT_EQ(script(step), &scripts::acquire);
  }
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(20ms), .now = at(21ms)}))));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(20ms), expiry));

  Acquire tries{key, id, once};
  tries.start(at(0ms));
  tries.unanswered();
  EXPECT_THAT(command(tries.answered(ask_again({}))), is_only_try());
}

// ... but not after the limit.
TEST(AcquireLine, DeadWaitersEndAWaitAtItsLimit) {
  Asking barely;
  EXPECT_THAT(command(barely.machine.answered(ask_again({.now = at(30s) - 1ns}))), is_line_up());
  Asking late;
  EXPECT_TRUE(is_done(late.machine.answered(ask_again({.now = at(30s)}))));
  EXPECT_TRUE(is_taken(late.machine));
  EXPECT_TRUE(late.machine.left_traces());
}

// A lost answer is asked for again, in the line's terms: never by SET, which would pass the others by.
TEST(AcquireLine, ALostPlaceIsAskedForAgain) {
  Asking asking;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(command(asking.machine.unanswered()), is_line_up());
  EXPECT_TRUE(pause(asking.machine.answered(in_line(900ms, Place::behind))));
  EXPECT_TRUE(asking.machine.left_traces());
}

// An answer that took longer than the lease is no lock. A waiter asks again, and may find that it still is its own.
TEST(AcquireLine, AnAnswerThatIsTooLateIsNoLock) {
  Asking asking;
  EXPECT_THAT(command(asking.machine.answered(has_it({.sent_at = at(0ms), .now = valid_until(at(0ms), expiry)}))),
              is_line_up());
  EXPECT_TRUE(asking.machine.in_doubt());
  EXPECT_TRUE(asking.machine.left_traces());
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(7s), .now = at(7100ms)}))));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(7s), expiry));
  EXPECT_FALSE(asking.machine.left_traces());
}

// ... but not after its limit, and not if it only tries.
TEST(AcquireLine, AnAnswerThatIsTooLateMayEndIt) {
  Acquire tries{key, id, once};
  tries.start(at(0ms));
  EXPECT_TRUE(is_done(tries.answered(text("OK", {.sent_at = at(0ms), .now = at(8s)}))));
  EXPECT_TRUE(is_taken(tries));
  EXPECT_TRUE(tries.left_traces());

  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(20s), .now = at(30s)}))));
  EXPECT_TRUE(is_taken(asking.machine));
  EXPECT_TRUE(asking.machine.left_traces());
}

// ---- another mailbox ----

// On another link there is another mailbox: the script is told which one stands in the place until now, so that the place is
// kept; in every repeat too, until an answer came. From then on it stands there.
TEST(AcquireLine, AnotherMailboxKeepsThePlace) {
  constexpr std::string_view second = "0sredismutex:wake:second", third = "0predismutex:wake:third";
  Waiting behind{Place::behind};
  const Step step = behind.machine.wake_at("sredismutex:wake:second");
  EXPECT_THAT(command(step), is_line_up({.details = second, .was = plain_details}));
  EXPECT_EQ(script(step), &scripts::acquire);
  EXPECT_TRUE(wants_wake_ups(step));
  EXPECT_EQ(behind.machine.mailbox(), "sredismutex:wake:second");
  EXPECT_EQ(behind.machine.details(), second);
  EXPECT_THAT(command(behind.machine.unanswered()), is_line_up({.details = second, .was = plain_details}));
  EXPECT_THAT(command(behind.machine.answered(ask_again({}))), is_line_up({.details = second, .was = plain_details}));
  EXPECT_EQ(pause(behind.machine.answered(in_line(100ms, Place::behind))), at(600ms));
  EXPECT_THAT(command(behind.machine.woken(at(600ms))), is_line_up({.details = second}));

  EXPECT_THAT(command(behind.machine.wake_at("predismutex:wake:third")), is_line_up({.details = third, .was = second}));
}

// The mailbox decides on the digit and the lease to be handed.
TEST(AcquireLine, AnotherMailboxIsDescribedAnew) {
  Acquire machine{key, id, fenced(other_terms(5s, 20s, "-"))};
  machine.start(at(0ms));
  EXPECT_EQ(machine.details(), "516000 -");
  EXPECT_EQ(command(machine.wake_at("sA"))[8], "3sA");
  EXPECT_EQ(command(machine.wake_at("-"))[8], "516000 -");
}

// Another mailbox means another link, on which the server watches nothing yet: the first in line has the key watched anew.
TEST(AcquireLine, AnotherMailboxIsAReasonToWatchAnew) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  first.machine.answered(integer(5000, {.now = at(30ms)}));
  // The connection was lost in the very moment of the next look.
  first.machine.woken(at(500ms));
  first.machine.wake_at("sredismutex:wake:second");
  EXPECT_EQ(pause(first.machine.answered(in_line(510ms, Place::first))), at(20ms));
  EXPECT_THAT(command(first.machine.woken(at(510ms))), is_look());
}

// ---- timers ----

// A waiter that has others ahead of it looks once a delay, counted from the answer.
TEST(AcquireLine, ThoseBehindLookOnceADelay) {
  Waiting behind{Place::behind};
  EXPECT_EQ(behind.pause, at(500ms));
  EXPECT_THAT(command(behind.machine.woken(at(500ms))), is_line_up());
  EXPECT_EQ(pause(behind.machine.answered(in_line(600ms, Place::behind))), at(1100ms));
}

// The first in line waits 20 ms for its turn, then watches the key; that does not put off the next look.
TEST(AcquireLine, TheFirstWatchesTheKeyAfterAWhile) {
  Waiting first{Place::first};
  EXPECT_EQ(first.pause, at(20ms));
  const Step step = first.machine.woken(at(20ms));
  EXPECT_THAT(command(step), is_look());
  EXPECT_TRUE(wants_invalidation(step));
  EXPECT_FALSE(wants_wake_ups(step));
  EXPECT_EQ(pause(first.machine.answered(integer(5000, {.sent_at = at(20ms), .now = at(30ms)}))), at(500ms));
  EXPECT_THAT(command(first.machine.woken(at(500ms))), is_line_up());
  // It watches already.
  EXPECT_EQ(pause(first.machine.answered(in_line(510ms, Place::first))), at(1010ms));
}

// A waiter that becomes the first later counts the 20 ms from when it learns that.
TEST(AcquireLine, ANewFirstWatchesFromThenOn) {
  Waiting behind{Place::behind};
  behind.machine.woken(at(500ms));
  EXPECT_EQ(pause(behind.machine.answered(in_line(500ms, Place::first))), at(520ms));
  EXPECT_THAT(command(behind.machine.woken(at(520ms))), is_look());
}

// A first that falls back, because its place was lost, watches anew when it is the first again.
TEST(AcquireLine, AFirstThatFellBackWatchesAnew) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  first.machine.answered(integer(5000, {.now = at(30ms)}));
  first.machine.woken(at(500ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(500ms, Place::behind))), at(1000ms));
  first.machine.woken(at(1000ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(1000ms, Place::first))), at(1020ms));
}

// The first looks when the holder's lease ends, a millisecond after it; a lease without an end is no reason.
TEST(AcquireLine, TheFirstLooksAtTheEndOfTheLease) {
  Waiting first{Place::first, 10};
  EXPECT_EQ(first.pause, at(11ms));
  EXPECT_THAT(command(first.machine.woken(at(11ms))), is_line_up());

  EXPECT_EQ((Waiting{Place::first, 0}.pause), at(1ms));
  EXPECT_EQ((Waiting{Place::first, -1}.pause), at(20ms));
}

// A stranger's lease may last for any time.
TEST(AcquireLine, ALeaseOfManyYearsEndsAfterTheNextLook) {
  Waiting first{Place::first, std::numeric_limits<std::int64_t>::max()};
  EXPECT_EQ(first.pause, at(20ms));
  first.machine.woken(at(20ms));
  EXPECT_EQ(pause(first.machine.answered(integer(9'999'999'999'000, {.now = at(30ms)}))), at(500ms));
}

// The end of the lease that counts is the last one heard of.
TEST(AcquireLine, AnExtendedLeaseMovesTheNextLook) {
  Waiting first{Place::first, 10};
  first.machine.woken(at(11ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(12ms, Place::first, 400))), at(20ms));
  first.machine.woken(at(20ms));
  EXPECT_EQ(pause(first.machine.answered(integer(300, {.now = at(25ms)}))), at(326ms));
}

// ---- looking at the key ----

// The look tells how long the present lease lasts, which may move the next question; a lease without an end is no reason to
// ask before the delay is over.
TEST(AcquireLine, ALookTellsTheEndOfTheLease) {
  for (const auto& [ms, until] : {std::pair{0, at(31ms)}, std::pair{100, at(131ms)}, std::pair{-1, at(500ms)}}) {
    Waiting first{Place::first, 25};
    first.machine.woken(at(20ms));
    EXPECT_EQ(pause(first.machine.answered(integer(ms, {.sent_at = at(21ms), .now = at(30ms)}))), until) << ms;
    EXPECT_THAT(command(first.machine.woken(until)), is_line_up());
  }
}

// A key that is gone is settled in the line's terms.
TEST(AcquireLine, ALookThatFindsNoKeyAsksTheLine) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  const Step step = first.machine.answered(integer(-2, {.sent_at = at(20ms), .now = at(30ms)}));
  EXPECT_THAT(command(step), is_line_up());
  EXPECT_TRUE(wants_wake_ups(step));
  EXPECT_FALSE(wants_invalidation(step));
}

// An error, and any answer that PTTL never has, ends the wait and is reported; the place is left to give up.
TEST(AcquireLine, ALookThatIsRefusedEndsIt) {
  for (const auto& [answer, said] :
       {std::pair{error("NOPERM User u has no permissions"), "NOPERM User u has no permissions"},
        std::pair{nothing(), "UNEXPECTED answer to PTTL"}, std::pair{text("5000"), "UNEXPECTED answer to PTTL"},
        std::pair{integers({5000}), "UNEXPECTED answer to PTTL"}, std::pair{other(), "UNEXPECTED answer to PTTL"}}) {
    Waiting first{Place::first};
    first.machine.woken(at(20ms));
    EXPECT_TRUE(is_done(first.machine.answered(answer)));
    EXPECT_EQ(refusal_text(first.machine), said);
    EXPECT_TRUE(first.machine.left_traces());
  }
}

// The connection broke during the look: nobody watches any more, and the place is asked for again.
TEST(AcquireLine, ALookThatIsNotAnsweredAsksTheLine) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  EXPECT_THAT(command(first.machine.unanswered()), is_line_up());
  // First as before: it watches again at once.
  EXPECT_EQ(pause(first.machine.answered(in_line(2s, Place::first))), at(20ms));
  EXPECT_THAT(command(first.machine.woken(at(2s))), is_look());
}

// ---- early wakes ----

// The key was changed, or the connection was lost: asked at once. The server reports a change once, so it is watched anew.
TEST(AcquireLine, AnEarlyWakeAsksTheLineAndWatchesAnew) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  first.machine.answered(integer(5000, {.now = at(30ms)}));
  EXPECT_THAT(command(first.machine.woken(at(200ms))), is_line_up());
  const Step step = first.machine.answered(in_line(200ms, Place::first));
  EXPECT_EQ(pause(step), at(20ms));
  EXPECT_THAT(command(first.machine.woken(at(200ms))), is_look());
}

// The same for those who do not watch: a lost connection wakes them too.
TEST(AcquireLine, AnEarlyWakeOfThoseBehindAsksTheLine) {
  Waiting behind{Place::behind};
  EXPECT_THAT(command(behind.machine.woken(at(100ms))), is_line_up());
  EXPECT_EQ(pause(behind.machine.answered(in_line(110ms, Place::behind))), at(610ms));

  Waiting first{Place::first};
  EXPECT_THAT(command(first.machine.woken(at(10ms))), is_line_up());
}

// ---- told to be the first ----

// A waiter that is told that nobody is ahead of it looks when the present lease ends, a millisecond after it; and watches the
// key after 20 ms, as any first does. The next look of its own stays where it was.
TEST(AcquireLine, AMessageMakesAFirst) {
  Terms terms = waiting;
  terms.delay = 5s;
  Waiting told{Place::behind, 5000, terms};
  EXPECT_EQ(told.pause, at(5s));
  EXPECT_EQ(pause(told.machine.told_first(1000ms, at(100ms))), at(120ms));
  EXPECT_THAT(command(told.machine.woken(at(120ms))), is_look());
  EXPECT_EQ(pause(told.machine.answered(integer(979, {.now = at(121ms)}))), at(1101ms));
  EXPECT_EQ(command(told.machine.woken(at(1101ms)))[0], "EVALSHA");

  Waiting soon{Place::behind, 5000, terms};
  EXPECT_EQ(pause(soon.machine.told_first(5ms, at(100ms))), at(106ms));
  EXPECT_EQ(command(soon.machine.woken(at(106ms)))[0], "EVALSHA");

  Waiting later{Place::behind, 5000, terms};
  later.machine.told_first(10s, at(100ms));
  later.machine.woken(at(120ms));
  EXPECT_EQ(pause(later.machine.answered(integer(-1, {.now = at(121ms)}))), at(5s));
}

// The message may tell the first in line of another owner: it watches anew, and forgets the end of the last lease.
TEST(AcquireLine, AFirstMayBeToldOfAnotherOwner) {
  Waiting first{Place::first, 60};
  first.machine.woken(at(20ms));
  first.machine.answered(integer(40, {.now = at(21ms)}));
  EXPECT_EQ(pause(first.machine.told_first(1000ms, at(50ms))), at(70ms));
  EXPECT_THAT(command(first.machine.woken(at(70ms))), is_look());
}

// Told at the limit or after it, it ends.
TEST(AcquireLine, AMessageAtTheLimitEndsIt) {
  Waiting behind{Place::behind};
  EXPECT_TRUE(is_done(behind.machine.told_first(1000ms, at(30s))));
  EXPECT_TRUE(is_taken(behind.machine));
  EXPECT_TRUE(behind.machine.left_traces());
}

// ---- renewed together with others ----

// A place that was renewed with others is a look that it needs not do itself: the next one is a delay later.
TEST(AcquireLine, ARefreshPutsOffTheNextLook) {
  Waiting behind{Place::behind};
  EXPECT_EQ(pause(behind.machine.refreshed(Refreshed::renewed, at(400ms))), at(900ms));
  EXPECT_EQ(pause(behind.machine.refreshed(Refreshed::renewed, at(800ms))), at(1300ms));
  EXPECT_THAT(command(behind.machine.woken(at(1300ms))), is_line_up());
}

// It puts off nothing else: the first watches the key, looks at the end of the lease, and ends at its limit as before.
TEST(AcquireLine, ARefreshPutsOffNothingElse) {
  Waiting watches{Place::first};
  EXPECT_EQ(pause(watches.machine.refreshed(Refreshed::renewed, at(10ms))), at(20ms));
  EXPECT_THAT(command(watches.machine.woken(at(20ms))), is_look());
  watches.machine.answered(integer(580, {.now = at(20ms)}));
  EXPECT_EQ(pause(watches.machine.refreshed(Refreshed::renewed, at(400ms))), at(601ms));
  EXPECT_THAT(command(watches.machine.woken(at(601ms))), is_line_up());

  Waiting limited{Place::behind};
  EXPECT_EQ(pause(limited.machine.refreshed(Refreshed::renewed, at(29900ms))), at(30s));
  EXPECT_TRUE(is_done(limited.machine.refreshed(Refreshed::renewed, at(30s))));
  EXPECT_TRUE(is_taken(limited.machine));
}

// A grant counts from the last answer of its own, however often the place was renewed since.
TEST(AcquireLine, ARefreshIsNoAnswer) {
  Waiting behind{Place::behind};
  behind.machine.refreshed(Refreshed::renewed, at(400ms));
  EXPECT_TRUE(is_done(behind.machine.granted(grant(600ms, 700ms), at(700ms))));
  EXPECT_EQ(held(behind.machine)->valid_until, valid_until(at(600ms) - 600ms / 100, 1000ms));
}

// ---- grants ----

// The message is the lock, with its short lease, which counts from when the server gave it: our time of the last question,
// and what the server's clock says went by since.
TEST(AcquireLine, AGrantIsTheLock) {
  Waiting behind{Place::behind};
  EXPECT_TRUE(is_done(behind.machine.granted(grant(200ms, 300ms), at(350ms))));
  ASSERT_TRUE(held(behind.machine));
  EXPECT_TRUE(held(behind.machine)->claimed);
  EXPECT_LE(held(behind.machine)->valid_until, valid_until(at(200ms), 1000ms));
  EXPECT_GE(held(behind.machine)->valid_until, valid_until(at(200ms), 1000ms) - 200ms / 100);
  EXPECT_FALSE(behind.machine.left_traces());
  EXPECT_TRUE(behind.machine.met_others());
}

// It has the token, if one was wanted.
TEST(AcquireLine, AGrantHasTheToken) {
  Waiting behind{Place::behind};
  Grant with_token = grant(200ms, 300ms);
  with_token.token = 1'750'000'000'200'000;
  EXPECT_TRUE(is_done(behind.machine.granted(with_token, at(350ms))));
  EXPECT_EQ(held(behind.machine)->token, 1'750'000'000'200'000u);
}

// The last answer is what it is counted from, not the first.
TEST(AcquireLine, AGrantIsCountedFromTheLastAnswer) {
  Waiting behind{Place::behind};
  behind.machine.woken(at(500ms));
  // The server's clock was set back by a minute since.
  behind.machine.answered(integers({1, server_time(500ms - 60s)}, {.sent_at = at(500ms), .now = at(501ms)}));
  EXPECT_TRUE(is_done(behind.machine.granted(grant(600ms - 60s, 610ms), at(620ms))));
  EXPECT_LE(held(behind.machine)->valid_until, valid_until(at(600ms), 1000ms));
  EXPECT_GE(held(behind.machine)->valid_until, valid_until(at(600ms), 1000ms) - 100ms / 100);
}

// However the server's clock jumped: a grant was not made after it arrived. Set back, it only makes the lease shorter.
TEST(AcquireLine, AJumpOfTheServersClockMakesNoLeaseLonger) {
  Waiting forward{Place::behind};
  EXPECT_TRUE(is_done(forward.machine.granted(grant(1h, 300ms), at(350ms))));
  EXPECT_EQ(held(forward.machine)->valid_until, valid_until(at(300ms), 1000ms));

  Waiting back{Place::behind};
  EXPECT_THAT(command(back.machine.granted(grant(-1h, 300ms), at(350ms))), is_line_up());
  EXPECT_FALSE(held(back.machine));
}

// With a drift of the clocks of up to a hundredth, a lease never ends later for us than for the server, however long ago the
// last answer was. The server's clock is the faster one here.
TEST(AcquireLine, ADriftOfTheClocksMakesNoLeaseLonger) {
  Waiting behind{Place::behind};
  const milliseconds ours = 450ms, servers = ours * 101 / 100;
  EXPECT_TRUE(is_done(behind.machine.granted(grant(servers, ours + 100ms), at(ours + 100ms))));
  // 1000 ms of the server's take 990 of ours.
  EXPECT_LE(held(behind.machine)->valid_until, at(ours) + 990ms);
}

// The connection broke before the server had answered once: so nothing tells how long ago the grant was made.
TEST(AcquireLine, AGrantBeforeAnyAnswerIsAskedAbout) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  machine.answered(nothing());
  machine.unanswered();
  EXPECT_THAT(command(machine.granted(grant(20s, 20s), at(20s))), is_line_up());
  EXPECT_FALSE(held(machine));
}

// Handed over while it asks, it is told so twice: by the answer with a token of a clock that was set back meanwhile, perhaps.
TEST(AcquireLine, TheHigherOfTwoTokensCounts) {
  for (const bool was_set_back : {true, false}) {
    Waiting behind{Place::behind, 5000, fenced(waiting)};
    behind.machine.woken(at(500ms));
    Grant with_token = grant(600ms, 601ms);
    with_token.token = 1'750'000'000'600'000;
    const std::int64_t told = was_set_back ? 1'749'999'990'000'000 : 1'750'000'000'700'000;
    EXPECT_TRUE(is_done(behind.machine.answered(integers({0, told, told}, {.sent_at = at(500ms), .now = at(602ms)}))));
    behind.machine.note_grant(with_token);
    ASSERT_TRUE(held(behind.machine));
    EXPECT_EQ(held(behind.machine)->token, was_set_back ? with_token.token : static_cast<std::uint64_t>(told));
    EXPECT_EQ(held(behind.machine)->token_is_ahead, was_set_back);
  }
}

// For people: when the lock was handed over, by the server's clock; and how often that was noticed too late.
TEST(AcquireLine, AGrantTellsWhenItWasMadeAndWhetherItWasLost) {
  Waiting behind{Place::behind};
  EXPECT_EQ(behind.machine.take_claims_lost(), 0u);
  EXPECT_THAT(command(behind.machine.granted(grant(200ms, 300ms), at(1201ms))), is_line_up());
  behind.machine.answered(in_line(1300ms, Place::behind));
  EXPECT_TRUE(is_done(behind.machine.granted(grant(1400ms, 1450ms), at(1460ms))));
  EXPECT_EQ(held(behind.machine)->handed_at, at(1400ms));
  EXPECT_EQ(behind.machine.take_claims_lost(), 1u);
  EXPECT_EQ(behind.machine.take_claims_lost(), 0u) << "each is told once";
}

// A grant that lay unread while the server was asked once more, and said that somebody else has the lock, is none any more.
TEST(AcquireLine, AGrantFromBeforeTheLastAnswerIsNoLock) {
  Waiting behind{Place::behind};
  behind.machine.woken(at(500ms));
  behind.machine.answered(in_line(501ms, Place::behind));
  EXPECT_THAT(command(behind.machine.granted(grant(400ms, 410ms), at(502ms))), is_line_up());
  EXPECT_FALSE(held(behind.machine));
}

// A grant that was read in the last moment of its lease is a lock; one moment later it is none, and the line is asked.
TEST(AcquireLine, AStaleGrantIsNoLock) {
  Waiting in_time{Place::behind};
  in_time.machine.granted(grant(0ms, 10ms), at(10ms));
  const Instant end = held(in_time.machine)->valid_until;

  Waiting barely{Place::behind};
  EXPECT_TRUE(is_done(barely.machine.granted(grant(0ms, 10ms), end - 1ns)));
  Waiting stale{Place::behind};
  EXPECT_THAT(command(stale.machine.granted(grant(0ms, 10ms), end)), is_line_up());
  EXPECT_TRUE(is_taken(stale.machine));
  EXPECT_TRUE(stale.machine.left_traces());
}

// What it finds there may be the lock, found again, or another wait.
TEST(AcquireLine, AfterAStaleGrantTheLineDecides) {
  Waiting again{Place::behind};
  again.machine.granted(grant(0ms, 10ms), at(5s));
  EXPECT_TRUE(is_done(again.machine.answered(has_it({.sent_at = at(5s), .now = at(5001ms)}))));
  EXPECT_FALSE(held(again.machine)->claimed);

  Waiting lost{Place::behind};
  lost.machine.granted(grant(0ms, 10ms), at(5s));
  EXPECT_EQ(pause(lost.machine.answered(in_line(5001ms, Place::behind))), at(5501ms));
}

// ---- limits ----

// No pause goes beyond the limit, and waking there, or an answer there, is the end; the place is to be given up.
TEST(AcquireLine, TheLimitEndsTheWait) {
  Terms terms = waiting;
  terms.wait_until = at(300ms);
  Waiting behind{Place::behind, 5000, terms};
  EXPECT_EQ(behind.pause, at(300ms));
  EXPECT_TRUE(is_done(behind.machine.woken(at(300ms))));
  EXPECT_TRUE(is_taken(behind.machine));
  EXPECT_TRUE(behind.machine.left_traces());
  EXPECT_FALSE(behind.machine.in_doubt());

  Asking late{terms};
  EXPECT_TRUE(is_done(late.machine.answered(in_line(300ms, Place::first))));
  EXPECT_TRUE(is_taken(late.machine));
  EXPECT_TRUE(late.machine.left_traces());
}

// The limit also ends the wait of one who watches.
TEST(AcquireLine, TheLimitEndsALook) {
  Terms terms = waiting;
  terms.wait_until = at(50ms);
  Waiting first{Place::first, 5000, terms};
  first.machine.woken(at(20ms));
  EXPECT_EQ(pause(first.machine.answered(integer(5000, {.now = at(30ms)}))), at(50ms));
  EXPECT_TRUE(is_done(first.machine.woken(at(50ms))));

  Waiting late{Place::first, 5000, terms};
  late.machine.woken(at(20ms));
  EXPECT_TRUE(is_done(late.machine.answered(integer(5000, {.now = at(50ms)}))));
  EXPECT_TRUE(is_taken(late.machine));
}

// A lock that comes at the limit, or after it, is taken nevertheless: to give it back would help nobody.
TEST(AcquireLine, ALockThatComesAfterTheLimitIsHeld) {
  Terms terms = waiting;
  terms.wait_until = at(300ms);
  Waiting granted{Place::behind, 5000, terms};
  EXPECT_TRUE(is_done(granted.machine.granted(grant(290ms, 301ms), at(302ms))));
  EXPECT_TRUE(held(granted.machine));

  Asking asking{terms};
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(299ms), .now = at(301ms)}))));
  EXPECT_TRUE(held(asking.machine));
}

// Driven without a lag, and never served, any waiter ends at its limit exactly, looks at least once a delay until then, and
// does not ask more often than its timers say.
TEST(AcquireLine, AnyWaiterEndsAtItsLimit) {
  for (const auto between : {1ms, 20ms, 299ms, 2000ms}) {
    for (const Place place : {Place::first, Place::behind}) {
      Acquire machine{key, id, {.expiry = expiry, .wait_until = at(1s), .delay = between, .mailbox = mailbox}};
      Step step = machine.start(at(0ms));
      Instant now = at(0ms), asked = now;
      int requests = 0;
      while (!is_done(step)) {
        if (const auto until = pause(step)) {
          ASSERT_LE(*until, at(1s));
          now = std::max(now, *until);
          step = machine.woken(now);
          continue;
        }
        ++requests;
        const std::string first_word = command(step).front();
        if (first_word == "EVALSHA") {
          EXPECT_LE(now, asked + between);
          asked = now;
          step = machine.answered(in_line(std::chrono::duration_cast<milliseconds>(now - at(0ms)), place));
        } else if (first_word == "SET") {
          step = machine.answered(nothing({.sent_at = now, .now = now}));
        } else {
          step = machine.answered(integer(5000, {.sent_at = now, .now = now}));
        }
      }
      EXPECT_EQ(now, at(1s));
      EXPECT_LE(requests, 1s / between + 3) << between.count();
      EXPECT_TRUE(is_taken(machine));
    }
  }
}

// ---- another driver, or other wishes ----

// The time counts at once; the place is described anew by the next question, which says what it was.
TEST(AcquireLine, ItsPlaceIsDescribedAnew) {
  Waiting behind{Place::behind, 5000};
  Terms terms = fenced(waiting);
  terms.wait_until = at(60s);
  terms.max_waiters = 5;
  behind.machine.change(terms);
  const Step asked = behind.machine.woken(at(100ms));
  EXPECT_THAT(command(asked), is_line_up({.details = fenced_details, .most_waiting = "5", .was = plain_details}));
  EXPECT_EQ(behind.machine.details(), fenced_details);
  EXPECT_EQ(behind.machine.former_details(), plain_details);
  // Until that is answered it is not described in a third way.
  behind.machine.change(waiting);
  EXPECT_THAT(command(behind.machine.unanswered()),
              is_line_up({.details = fenced_details, .most_waiting = "5", .was = plain_details}));
  behind.machine.answered(in_line(100ms, Place::behind));
  EXPECT_THAT(command(behind.machine.woken(at(200ms))), is_line_up({.was = fenced_details}));
}

// The short way, which is left when a slot moves, asks for the lease that counts by then.
TEST(AcquireLine, TheShortWayAsksForTheNewLease) {
  constexpr milliseconds before = 900ms, later = 60s;
  Terms terms = waiting;
  terms.expiry = before;
  Waiting behind{Place::behind, 5000, terms};
  behind.machine.change(other_terms(delay, later, mailbox));
  EXPECT_EQ(command(behind.machine.woken(at(100ms)))[7], "60000");
  behind.machine.answered(in_line(101ms, Place::behind));
  behind.machine.woken(at(601ms));
  ASSERT_TRUE(behind.machine.split(at(602ms)));
  EXPECT_THAT(command(behind.machine.woken(at(650ms))), ElementsAre("SET", "stock", own, "NX", "PX", "60000"));
  behind.machine.answered(text("OK", {.sent_at = at(650ms), .now = at(651ms)}));
  ASSERT_TRUE(held(behind.machine));
  EXPECT_EQ(held(behind.machine)->valid_until, valid_until(at(650ms), later));
}

// An answer is judged by the lease that its request asked for.
TEST(AcquireLine, AChangeWhileARequestIsUnderWay) {
  Asking asking{waiting};
  Terms terms = waiting;
  terms.expiry = 60s;
  asking.machine.change(terms);
  asking.machine.answered(has_it({.sent_at = at(0ms), .now = at(1ms)}));
  ASSERT_TRUE(held(asking.machine));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(0ms), expiry));
  EXPECT_EQ(held(asking.machine)->since, at(0ms));
}

// It is too short for the one that goes on by now: the lock is asked for anew, and the script makes it longer.
TEST(AcquireLine, ALeaseThatIsTooShortByNowIsMadeLonger) {
  for (const auto needs : {expiry, 60000ms}) {
    Acquire machine{key, id, waiting};
    machine.start(at(0ms));
    Terms terms = waiting;
    terms.expiry = 60s;
    terms.needs = needs;
    machine.change(terms);
    const Step step = machine.answered(text("OK", {.sent_at = at(0ms), .now = at(1ms)}));
    if (needs == expiry) {
      EXPECT_TRUE(is_done(step)) << "those behind need more, it does not";
      EXPECT_EQ(held(machine)->valid_until, valid_until(at(0ms), expiry));
      continue;
    }
    ASSERT_FALSE(is_done(step));
    EXPECT_EQ(command(step)[7], "60000");
    EXPECT_FALSE(held(machine));
    EXPECT_TRUE(is_done(machine.answered(has_it({.sent_at = at(2ms), .now = at(3ms)}))));
    ASSERT_TRUE(held(machine));
    EXPECT_EQ(held(machine)->valid_until, valid_until(at(2ms), 60s));
  }
}

// It may stand for as long as the longest lease that was asked for: a repeat that asks for less does not shorten it.
TEST(AcquireLine, TellsTheLongestLeaseThatWasAskedFor) {
  Asking asking{waiting};
  EXPECT_THAT(command(asking.machine.unanswered()), is_line_up());
  Terms less = waiting;
  less.expiry = 2s;
  asking.machine.change(less);
  EXPECT_EQ(command(asking.machine.unanswered())[7], "2000");
  asking.machine.answered(has_it({.sent_at = at(1ms), .now = at(2ms)}));
  ASSERT_TRUE(held(asking.machine));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(1ms), 2s));
  EXPECT_EQ(held(asking.machine)->asked, expiry);
}

// One whose time is up leaves the machine to another one, which goes on with the place.
TEST(AcquireLine, GoesOnAfterItsTimeWasUp) {
  Terms terms = waiting;
  terms.wait_until = at(300ms);
  Waiting behind{Place::behind, 5000, terms};
  EXPECT_TRUE(is_done(behind.machine.woken(at(300ms))));
  behind.machine.change(waiting);
  EXPECT_THAT(command(behind.machine.woken(at(301ms))), is_line_up());
  EXPECT_TRUE(is_done(behind.machine.answered(has_it({.sent_at = at(301ms), .now = at(302ms)}))));
  EXPECT_TRUE(held(behind.machine));
}

// ---- traces ----

// A driver may stop at any point; from the first question to the line on there may be something to take back.
TEST(AcquireLine, TracesAreKnownWheneverItStops) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_FALSE(machine.left_traces());  // answered for, as far as is known
  machine.answered(nothing());
  EXPECT_TRUE(machine.left_traces());
  machine.answered(in_line(0ms, Place::first));
  EXPECT_TRUE(machine.left_traces());
  machine.woken(at(20ms));
  EXPECT_TRUE(machine.left_traces());
  machine.answered(integer(5000, {.now = at(21ms)}));
  EXPECT_TRUE(machine.left_traces());
  machine.granted(grant(30ms, 31ms), at(32ms));
  EXPECT_FALSE(machine.left_traces());  // now it is a lock, to be released
}

}  // namespace
}  // namespace redismutex::protocol
