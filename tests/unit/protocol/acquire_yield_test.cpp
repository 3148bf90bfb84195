#include <gtest/gtest.h>

#include <string>

#include "protocol/lease.hpp"
#include "unit/protocol/acquire_steps.hpp"

// A lock that is one of several servers' is offered to those who came earlier: what counts from then on, and what does not.
namespace redismutex::protocol {
namespace {

constexpr microseconds ticket{1'749'999'999'123'456};
constexpr std::string_view ticket_text = "1749999999123456";

Terms with_ticket(Terms terms = waiting) {
  terms.ticket = ticket;
  return terms;
}

/// What a request of one of `waiting` says that has a ticket.
auto is_line_up_with_ticket(std::string_view was = {}) {
  return ::testing::ElementsAre("EVALSHA", scripts::acquire.sha1, "3", "stock", "redismutex:{stock}",
                                "redismutex:floor:{stock}", own, "7000", plain_details, "2500", "10000", was,
                                ticket_text);
}

auto is_yield(std::string_view details = plain_details) {
  return ::testing::ElementsAre("EVALSHA", scripts::acquire.sha1, "3", "stock", "redismutex:{stock}",
                                "redismutex:floor:{stock}", own, "7000", details, "2500", "10000", "", ticket_text,
                                "1");
}

/// One that took the lock at time 0.
struct Holding {
  explicit Holding(const Terms& terms = with_ticket()) : machine{key, id, terms} {
    machine.start(at(0ms));
    machine.answered(text("OK"));
  }
  Acquire machine;
};

/// One that has yielded, and is behind others since `answered_at`.
struct Yielded : Holding {
  static constexpr milliseconds answered_at = 100ms;
  Yielded() {
    machine.yield();
    machine.answered(in_line(answered_at, Place::behind));
  }
};

// ---- tickets --------------------------------------------------------------------------------------------------------

// Whoever has a ticket lines up with it, each time; whoever has none leaves that to the server, with the same words as ever.
TEST(AcquireYield, ATicketIsSentWithEachLineUp) {
  Acquire machine{key, id, with_ticket()};
  EXPECT_THAT(command(machine.start(at(0ms))), is_set());
  EXPECT_THAT(command(machine.answered(nothing())), is_line_up_with_ticket());
  EXPECT_THAT(command(machine.unanswered()), is_line_up_with_ticket());
}

// It stays for as long as the id does, whoever goes on with the place.
TEST(AcquireYield, ATicketOutlastsOtherTerms) {
  Acquire machine{key, id, with_ticket()};
  machine.start(at(0ms));
  machine.answered(nothing());
  machine.answered(in_line(0ms, Place::behind));
  Terms others = waiting;
  others.ticket = ticket + 1s;
  machine.change(others);
  EXPECT_THAT(command(machine.woken(at(500ms))), is_line_up_with_ticket());
}

// ---- the question ---------------------------------------------------------------------------------------------------

// It says all that a line-up does, and that it yields. The server is to be able to wake it.
TEST(AcquireYield, AsksForAPlaceOrTheLock) {
  Holding holding;
  ASSERT_TRUE(held(holding.machine));
  const Step step = holding.machine.yield();
  EXPECT_THAT(command(step), is_yield());
  EXPECT_EQ(script(step), &scripts::acquire);
  EXPECT_TRUE(wants_wake_ups(step));
}

// From the question on it is no lock, and there is something to take back.
TEST(AcquireYield, NothingIsHeldFromTheQuestionOn) {
  Holding holding;
  holding.machine.yield();
  EXPECT_TRUE(is_taken(holding.machine));
  EXPECT_TRUE(holding.machine.left_traces());
}

// ---- answers --------------------------------------------------------------------------------------------------------

// If nobody is ahead, the lock is held with a full lease from the question on.
TEST(AcquireYield, ALockThatIsKeptCountsFromTheQuestion) {
  Holding holding;
  holding.machine.yield();
  EXPECT_TRUE(is_done(holding.machine.answered(has_it({.sent_at = at(50ms), .now = at(60ms)}, 5))));
  ASSERT_TRUE(held(holding.machine));
  EXPECT_EQ(held(holding.machine)->valid_until, valid_until(at(50ms), expiry));
  EXPECT_EQ(held(holding.machine)->token, 5);
  EXPECT_FALSE(held(holding.machine)->claimed);
  EXPECT_FALSE(holding.machine.left_traces());
}

// It may be asked as often as one likes.
TEST(AcquireYield, ALockThatIsKeptCanBeOfferedAgain) {
  Holding holding;
  holding.machine.yield();
  holding.machine.answered(has_it({.sent_at = at(50ms), .now = at(60ms)}));
  EXPECT_THAT(command(holding.machine.yield()), is_yield());
  EXPECT_FALSE(held(holding.machine));
}

// Else it waits, as anybody in line does, and what it is handed then is the lock.
TEST(AcquireYield, ALockThatIsGivenIsWaitedFor) {
  Holding holding;
  holding.machine.yield();
  EXPECT_EQ(pause(holding.machine.answered(in_line(100ms, Place::behind))), at(600ms));
  EXPECT_TRUE(is_taken(holding.machine));
  EXPECT_TRUE(holding.machine.met_others());
  EXPECT_THAT(command(holding.machine.woken(at(600ms))), is_line_up_with_ticket());
  holding.machine.answered(in_line(600ms, Place::behind));
  EXPECT_TRUE(is_done(holding.machine.granted(grant(700ms, 701ms), at(702ms))));
  ASSERT_TRUE(held(holding.machine));
  EXPECT_TRUE(held(holding.machine)->claimed);
  EXPECT_THAT(command(holding.machine.yield()), is_yield()) << "which can be offered, too";
}

// Nobody has it so far: the same is asked again.
TEST(AcquireYield, DeadWaitersAreAReasonToAskTheSameAgain) {
  Holding holding;
  holding.machine.yield();
  EXPECT_THAT(command(holding.machine.answered(ask_again({}))), is_yield());
  EXPECT_TRUE(is_taken(holding.machine));
}

TEST(AcquireYield, ARefusalEndsIt) {
  Holding holding;
  holding.machine.yield();
  EXPECT_TRUE(is_done(holding.machine.answered(error("OOM command not allowed"))));
  EXPECT_EQ(refusal_text(holding.machine), "OOM command not allowed");
  EXPECT_TRUE(holding.machine.left_traces());

  Holding puzzled;
  puzzled.machine.yield();
  EXPECT_TRUE(is_done(puzzled.machine.answered(integers({7, 0}))));
  EXPECT_EQ(refusal_text(puzzled.machine), "UNEXPECTED answer to acquire.lua");
}

// An answer that took longer than the lease is none.
TEST(AcquireYield, AnAnswerThatIsTooLateIsNoLock) {
  Holding holding;
  holding.machine.yield();
  const Step step = holding.machine.answered(has_it({.sent_at = at(50ms), .now = at(7100ms)}));
  EXPECT_THAT(command(step), is_line_up_with_ticket());
  EXPECT_FALSE(held(holding.machine));
}

// ---- no answer ------------------------------------------------------------------------------------------------------

// Nobody knows who has it: it asks, and has it when the server says so. It does not yield once more.
TEST(AcquireYield, ALostAnswerIsFollowedByALineUp) {
  Holding holding;
  holding.machine.yield();
  EXPECT_THAT(command(holding.machine.unanswered()), is_line_up_with_ticket());
  EXPECT_TRUE(is_taken(holding.machine));
  EXPECT_TRUE(holding.machine.in_doubt());
  EXPECT_TRUE(is_done(holding.machine.answered(has_it({.sent_at = at(200ms), .now = at(210ms)}))));
  EXPECT_EQ(held(holding.machine)->valid_until, valid_until(at(200ms), expiry));
}

// The server could not wake it where it said: it asks again under the other channel, and keeps its place.
TEST(AcquireYield, AnotherMailboxIsFollowedByALineUp) {
  Holding holding;
  holding.machine.yield();
  holding.machine.wake_at("sredismutex:wake:other");
  EXPECT_TRUE(is_taken(holding.machine));
  EXPECT_TRUE(is_done(holding.machine.answered(has_it({.sent_at = at(200ms), .now = at(210ms)}))));
  EXPECT_TRUE(held(holding.machine));
}

// ---- grants ---------------------------------------------------------------------------------------------------------

// A grant that came before the answer is of the lock that was given away: it is none, and the line is asked. That is so whatever
// became of the server's clock meanwhile.
TEST(AcquireYield, AGrantFromBeforeTheAnswerIsNoLock) {
  Yielded older;
  EXPECT_THAT(command(older.machine.granted(grant(50ms, 60ms), at(101ms))), is_line_up_with_ticket());
  EXPECT_FALSE(held(older.machine));

  Yielded set_back;
  EXPECT_THAT(command(set_back.machine.granted(grant(3600s, 99ms), at(101ms))), is_line_up_with_ticket());
  EXPECT_FALSE(held(set_back.machine));
}

// So is one that came before the answer to the line-up that followed when the answer to the yield was lost.
TEST(AcquireYield, AGrantFromBeforeTheAnswerToTheRepeatIsNoLock) {
  Holding holding;
  holding.machine.yield();
  holding.machine.unanswered();
  holding.machine.answered(in_line(200ms, Place::behind));
  EXPECT_THAT(command(holding.machine.granted(grant(3600s, 150ms), at(201ms))), is_line_up_with_ticket());
  EXPECT_FALSE(held(holding.machine));
}

// So is one that lay there when the answer to the yield was lost, as long as the server has not told where it stands now.
TEST(AcquireYield, AGrantFromBeforeALostAnswerIsNoLock) {
  Acquire machine{key, id, with_ticket()};
  machine.start(at(0ms));
  machine.answered(nothing());
  machine.answered(in_line(10ms, Place::first));
  machine.woken(at(25ms));
  machine.answered(has_it({.sent_at = at(25ms), .now = at(26ms)}));
  ASSERT_TRUE(held(machine));
  machine.yield();
  machine.unanswered();
  EXPECT_THAT(command(machine.granted(grant(24ms, 25ms), at(40ms))), is_line_up_with_ticket());
  EXPECT_FALSE(held(machine));
}

// What came afterwards counts.
TEST(AcquireYield, AGrantFromAfterTheAnswerIsTheLock) {
  Yielded yielded;
  EXPECT_TRUE(is_done(yielded.machine.granted(grant(150ms, 151ms), at(152ms))));
  EXPECT_TRUE(held(yielded.machine));
}

// ---- the end of the wait --------------------------------------------------------------------------------------------

TEST(AcquireYield, ALockThatIsGivenAtTheLimitEndsIt) {
  Holding holding;
  holding.machine.yield();
  EXPECT_TRUE(is_done(holding.machine.answered(in_line(30s, Place::behind))));
  EXPECT_TRUE(is_taken(holding.machine));
  EXPECT_TRUE(holding.machine.left_traces());
}

}  // namespace
}  // namespace redismutex::protocol
