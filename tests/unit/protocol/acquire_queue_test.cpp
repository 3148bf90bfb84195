#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "protocol/lease.hpp"
#include "unit/protocol/acquire_steps.hpp"

// How a waiter behaves in the line at the server. What comes before is in acquire_test.cpp.
namespace redismutex::protocol {
namespace {

using ::testing::ElementsAre;

/// A waiter that found the lock taken and has asked for a place.
struct Asking {
  explicit Asking(const Terms& terms = waiting) : machine{key, id, terms} {
    machine.start(at(0ms));
    if (!terms.expect_queue) machine.answered(text(foreign));
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

// Who waits and finds the lock taken asks for a place, with the channel to wake him at, and with all that the script
// needs; who only tries does not.
TEST(AcquireQueue, ATakenLockIsWaitedForInLine) {
  Acquire waits{key, id, waiting};
  EXPECT_THAT(command(waits.start(at(0ms))), is_set());
  const Step step = waits.answered(text(foreign));
  EXPECT_THAT(command(step), is_line_up());
  EXPECT_EQ(script(step), &scripts::acquire);
  EXPECT_TRUE(wants_wake_ups(step));
  EXPECT_FALSE(wants_invalidation(step));
  EXPECT_TRUE(waits.left_traces());
  EXPECT_TRUE(waits.met_others());

  Acquire tries{key, id, once};
  tries.start(at(0ms));
  EXPECT_TRUE(is_done(tries.answered(text(foreign))));
  EXPECT_TRUE(is_taken(tries));
  EXPECT_FALSE(tries.left_traces());
  EXPECT_TRUE(tries.met_others());
}

// Where the lock was taken the last time, a waiter asks for a place at once. One attempt always goes the short way.
TEST(AcquireQueue, AnExpectedLineIsJoinedAtOnce) {
  Acquire waits{key, id, expecting};
  EXPECT_THAT(command(waits.start(at(0ms))), is_line_up());
  EXPECT_FALSE(waits.met_others());

  Terms tries = expecting;
  tries.wait_until.reset();
  Acquire machine{key, id, tries};
  EXPECT_THAT(command(machine.start(at(0ms))), is_set());
}

// The window for which a silent waiter counts as alive leaves room for three lost or late looks.
TEST(AcquireQueue, TheWindowOutlastsThreeDelays) {
  for (const auto& [between, window] :
       {std::pair{1ms, "1003"}, std::pair{500ms, "2500"}, std::pair{10000ms, "31000"}}) {
    Acquire machine{key, id, {.expiry = expiry, .wait_until = at(30s), .delay = between, .expect_queue = true}};
    EXPECT_EQ(command(machine.start(at(0ms)))[8], window);
  }
}

// Without a channel none is subscribed to, and the script is told so.
TEST(AcquireQueue, AWaiterWithoutAChannelSaysSo) {
  Terms terms = expecting;
  terms.mailbox = "-";
  Acquire machine{key, id, terms};
  const Step step = machine.start(at(0ms));
  EXPECT_EQ(command(step)[7], "-");
  EXPECT_FALSE(wants_wake_ups(step));
}

// A server that does not let us have a channel is asked once more, without one: the place must not promise that we hear.
TEST(AcquireQueue, ARefusedChannelIsTakenBack) {
  Asking asking;
  const Step step = asking.machine.wake_at("-");
  EXPECT_THAT(command(step), ElementsAre("EVALSHA", scripts::acquire.sha1, "2", "stock", "redismutex:{stock}", own,
                                         "7000", "-", "2500", "10000", "0"));
  EXPECT_FALSE(wants_wake_ups(step));
  EXPECT_EQ(pause(asking.machine.answered(in_line(10ms, Place::behind))), at(510ms));
}

// The script may find the lock free: it is held from the time of sending, with the full lease.
TEST(AcquireQueue, TheScriptMayFindTheLockFree) {
  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(100ms), .now = at(900ms)}))));
  ASSERT_TRUE(held(asking.machine));
  EXPECT_EQ(held(asking.machine)->valid_until, valid_until(at(100ms), expiry));
  EXPECT_FALSE(held(asking.machine)->claimed);
  EXPECT_FALSE(asking.machine.left_traces());
}

// A line that is full ends it at once, and leaves nothing to take back.
TEST(AcquireQueue, AFullLineEndsIt) {
  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(no_place({.sent_at = at(1ms), .now = at(2ms)}))));
  EXPECT_TRUE(std::holds_alternative<Acquire::Full>(asking.machine.outcome()));
  EXPECT_FALSE(asking.machine.left_traces());
  EXPECT_TRUE(asking.machine.met_others());
}

// Any answer that the script does not have ends it and is reported; whether we have a place is then unknown.
TEST(AcquireQueue, ARefusedPlaceEndsIt) {
  for (const auto& [answer, said] : {std::pair{error("OOM command not allowed"), "OOM command not allowed"},
                                     std::pair{nothing(), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{text(own), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{integer(0), "UNEXPECTED answer to acquire.lua"},
                                     std::pair{other(), "UNEXPECTED answer to acquire.lua"}}) {
    Asking asking;
    EXPECT_TRUE(is_done(asking.machine.answered(answer)));
    EXPECT_EQ(refusal_text(asking.machine), said);
    EXPECT_TRUE(asking.machine.left_traces());
  }
}

// A lost answer is asked for again, in the line's terms: never by SET, which would pass the others by.
TEST(AcquireQueue, ALostPlaceIsAskedForAgain) {
  Asking asking;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(command(asking.machine.unanswered()), is_line_up());
  EXPECT_TRUE(pause(asking.machine.answered(in_line(900ms, Place::behind))));
  EXPECT_TRUE(asking.machine.left_traces());
}

// An answer that took longer than the lease is no lock. A waiter asks again, and may find that it still is its own.
TEST(AcquireQueue, AnAnswerThatIsTooLateIsNoLock) {
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
TEST(AcquireQueue, AnAnswerThatIsTooLateEndsWhoMayNotWait) {
  Acquire tries{key, id, once};
  tries.start(at(0ms));
  EXPECT_TRUE(is_done(tries.answered(nothing({.sent_at = at(0ms), .now = at(8s)}))));
  EXPECT_TRUE(is_taken(tries));
  EXPECT_TRUE(tries.left_traces());

  Asking asking;
  EXPECT_TRUE(is_done(asking.machine.answered(has_it({.sent_at = at(20s), .now = at(30s)}))));
  EXPECT_TRUE(is_taken(asking.machine));
  EXPECT_TRUE(asking.machine.left_traces());
}

// ---- timers ----

// Who has others ahead of him looks once a delay, counted from the answer.
TEST(AcquireQueue, ThoseBehindLookOnceADelay) {
  Waiting behind{Place::behind};
  EXPECT_EQ(behind.pause, at(500ms));
  EXPECT_THAT(command(behind.machine.woken(at(500ms))), is_line_up());
  EXPECT_EQ(pause(behind.machine.answered(in_line(600ms, Place::behind))), at(1100ms));
}

// The first in line waits 20 ms for its turn, then watches the key; that does not put off the next look.
TEST(AcquireQueue, TheFirstWatchesTheKeyAfterAWhile) {
  Waiting first{Place::first};
  EXPECT_EQ(first.pause, at(20ms));
  const Step step = first.machine.woken(at(20ms));
  EXPECT_THAT(command(step), is_look());
  EXPECT_TRUE(wants_invalidation(step));
  EXPECT_FALSE(wants_wake_ups(step));
  EXPECT_EQ(pause(first.machine.answered(text(foreign, {.sent_at = at(20ms), .now = at(30ms)}))), at(500ms));
  EXPECT_THAT(command(first.machine.woken(at(500ms))), is_line_up());
  // It watches already.
  EXPECT_EQ(pause(first.machine.answered(in_line(510ms, Place::first))), at(1010ms));
}

// Who becomes the first later counts the 20 ms from when it learns that.
TEST(AcquireQueue, WhoBecomesTheFirstWatchesFromThenOn) {
  Waiting behind{Place::behind};
  behind.machine.woken(at(500ms));
  EXPECT_EQ(pause(behind.machine.answered(in_line(500ms, Place::first))), at(520ms));
  EXPECT_THAT(command(behind.machine.woken(at(520ms))), is_look());
}

// Who falls back, because its place was lost, watches anew when it is the first again.
TEST(AcquireQueue, WhoFallsBackWatchesAnew) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  first.machine.answered(text(foreign, {.now = at(30ms)}));
  first.machine.woken(at(500ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(500ms, Place::behind))), at(1000ms));
  first.machine.woken(at(1000ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(1000ms, Place::first))), at(1020ms));
}

// The first looks when the holder's lease ends, a millisecond after it; a lease without an end is no reason.
TEST(AcquireQueue, TheFirstLooksAtTheEndOfTheLease) {
  Waiting first{Place::first, 10};
  EXPECT_EQ(first.pause, at(11ms));
  EXPECT_THAT(command(first.machine.woken(at(11ms))), is_line_up());

  EXPECT_EQ((Waiting{Place::first, 0}.pause), at(1ms));
  EXPECT_EQ((Waiting{Place::first, -1}.pause), at(20ms));
}

// The end of the lease that counts is the last one heard of.
TEST(AcquireQueue, AnExtendedLeaseMovesTheLook) {
  Waiting first{Place::first, 10};
  first.machine.woken(at(11ms));
  EXPECT_EQ(pause(first.machine.answered(in_line(12ms, Place::first, 400))), at(20ms));
  first.machine.woken(at(20ms));
  EXPECT_EQ(pause(first.machine.answered(text(foreign, {.now = at(25ms)}))), at(413ms));
}

// ---- looking at the key ----

// A key that is gone, or is our own already, is settled in the line's terms.
TEST(AcquireQueue, ALookThatFindsAChangeAsksTheLine) {
  for (const Answer& answer : {nothing(), text(own)}) {
    Waiting first{Place::first};
    first.machine.woken(at(20ms));
    EXPECT_THAT(command(first.machine.answered(answer)), is_line_up());
  }
}

// Something else than a lock is at the key: that is reported.
TEST(AcquireQueue, ALookThatIsRefusedEndsIt) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  EXPECT_TRUE(is_done(first.machine.answered(error("WRONGTYPE Operation against"))));
  EXPECT_EQ(refusal_text(first.machine), "WRONGTYPE Operation against");
  EXPECT_TRUE(first.machine.left_traces());
}

// The connection broke during the look: nobody watches any more, and the place is asked for again.
TEST(AcquireQueue, ALookThatIsNotAnsweredAsksTheLine) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  EXPECT_THAT(command(first.machine.unanswered()), is_line_up());
  // First as before: it watches again at once.
  EXPECT_EQ(pause(first.machine.answered(in_line(2s, Place::first))), at(20ms));
  EXPECT_THAT(command(first.machine.woken(at(2s))), is_look());
}

// ---- early wakes ----

// The key was changed, or the connection was lost: asked at once. The server reports a change once, so it is watched anew.
TEST(AcquireQueue, AnEarlyWakeAsksTheLineAndWatchesAnew) {
  Waiting first{Place::first};
  first.machine.woken(at(20ms));
  first.machine.answered(text(foreign, {.now = at(30ms)}));
  EXPECT_THAT(command(first.machine.woken(at(200ms))), is_line_up());
  const Step step = first.machine.answered(in_line(200ms, Place::first));
  EXPECT_EQ(pause(step), at(20ms));
  EXPECT_THAT(command(first.machine.woken(at(200ms))), is_look());
}

// The same for those who do not watch: a lost connection wakes them too.
TEST(AcquireQueue, AnEarlyWakeOfThoseBehindAsksTheLine) {
  Waiting behind{Place::behind};
  EXPECT_THAT(command(behind.machine.woken(at(100ms))), is_line_up());
  EXPECT_EQ(pause(behind.machine.answered(in_line(110ms, Place::behind))), at(610ms));

  Waiting first{Place::first};
  EXPECT_THAT(command(first.machine.woken(at(10ms))), is_line_up());
}

// ---- grants ----

// The message is the lock, with its short lease, which counts from when the server gave it: our time of the last question,
// and what the server's clock says went by since.
TEST(AcquireQueue, AGrantIsTheLock) {
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
TEST(AcquireQueue, AGrantHasTheToken) {
  Waiting behind{Place::behind};
  Grant with_token = grant(200ms, 300ms);
  with_token.token = 1'750'000'000'200'000;
  EXPECT_TRUE(is_done(behind.machine.granted(with_token, at(350ms))));
  EXPECT_EQ(held(behind.machine)->token, 1'750'000'000'200'000u);
}

// The last answer is what it is counted from, not the first.
TEST(AcquireQueue, AGrantIsCountedFromTheLastAnswer) {
  Waiting behind{Place::behind};
  behind.machine.woken(at(500ms));
  // The server's clock was set back by a minute since.
  behind.machine.answered(integers({1, server_time(500ms - 60s)}, {.sent_at = at(500ms), .now = at(501ms)}));
  EXPECT_TRUE(is_done(behind.machine.granted(grant(600ms - 60s, 610ms), at(620ms))));
  EXPECT_LE(held(behind.machine)->valid_until, valid_until(at(600ms), 1000ms));
  EXPECT_GE(held(behind.machine)->valid_until, valid_until(at(600ms), 1000ms) - 100ms / 100);
}

// However the server's clock jumped: a grant was not made after it arrived. Set back, it only makes the lease shorter.
TEST(AcquireQueue, AJumpOfTheServersClockMakesNoLeaseLonger) {
  Waiting forward{Place::behind};
  EXPECT_TRUE(is_done(forward.machine.granted(grant(1h, 300ms), at(350ms))));
  EXPECT_EQ(held(forward.machine)->valid_until, valid_until(at(300ms), 1000ms));

  Waiting back{Place::behind};
  EXPECT_THAT(command(back.machine.granted(grant(-1h, 300ms), at(350ms))), is_line_up());
  EXPECT_FALSE(held(back.machine));
}

// With a drift of the clocks of up to a hundredth, a lease never ends later for us than for the server, however long ago the
// last answer was. The server's clock is the faster one here.
TEST(AcquireQueue, ADriftOfTheClocksMakesNoLeaseLonger) {
  Waiting behind{Place::behind};
  const milliseconds ours = 450ms, servers = ours * 101 / 100;
  EXPECT_TRUE(is_done(behind.machine.granted(grant(servers, ours + 100ms), at(ours + 100ms))));
  // 1000 ms of the server's take 990 of ours.
  EXPECT_LE(held(behind.machine)->valid_until, at(ours) + 990ms);
}

// A grant that was read in the last moment of its lease is a lock; one moment later it is none, and the line is asked.
TEST(AcquireQueue, AStaleGrantIsNoLock) {
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
TEST(AcquireQueue, AfterAStaleGrantTheLineDecides) {
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
TEST(AcquireQueue, TheLimitEndsTheWait) {
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
TEST(AcquireQueue, TheLimitEndsALook) {
  Terms terms = waiting;
  terms.wait_until = at(50ms);
  Waiting first{Place::first, 5000, terms};
  first.machine.woken(at(20ms));
  EXPECT_EQ(pause(first.machine.answered(text(foreign, {.now = at(30ms)}))), at(50ms));
  EXPECT_TRUE(is_done(first.machine.woken(at(50ms))));

  Waiting late{Place::first, 5000, terms};
  late.machine.woken(at(20ms));
  EXPECT_TRUE(is_done(late.machine.answered(text(foreign, {.now = at(50ms)}))));
  EXPECT_TRUE(is_taken(late.machine));
}

// A lock that comes at the limit, or after it, is taken nevertheless: to give it back would help nobody.
TEST(AcquireQueue, ALockThatComesAfterTheLimitIsHeld) {
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
TEST(AcquireQueue, AnyWaiterEndsAtItsLimit) {
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
        } else {
          step = machine.answered(text(foreign, {.sent_at = now, .now = now}));
        }
      }
      EXPECT_EQ(now, at(1s));
      EXPECT_LE(requests, 1s / between + 3) << between.count();
      EXPECT_TRUE(is_taken(machine));
    }
  }
}

// ---- traces ----

// A driver may stop at any point; from the first question to the line on there may be something to take back.
TEST(AcquireQueue, TracesAreKnownWheneverItStops) {
  Acquire machine{key, id, waiting};
  machine.start(at(0ms));
  EXPECT_FALSE(machine.left_traces());  // answered for, as far as is known
  machine.answered(text(foreign));
  EXPECT_TRUE(machine.left_traces());
  machine.answered(in_line(0ms, Place::first));
  EXPECT_TRUE(machine.left_traces());
  machine.woken(at(20ms));
  EXPECT_TRUE(machine.left_traces());
  machine.answered(text(foreign, {.now = at(21ms)}));
  EXPECT_TRUE(machine.left_traces());
  machine.granted(grant(30ms, 31ms), at(32ms));
  EXPECT_FALSE(machine.left_traces());  // now it is a lock, to be released
}

}  // namespace
}  // namespace redismutex::protocol
