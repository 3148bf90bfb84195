#include "histories/checker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

// Each test is a small history, as it is written to a file, with one thing in it that should not have happened, or with
// something that looks like it.
namespace redismutex::histories {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Bounds bounds{.message = 10ms,
                        .news = 50ms,
                        .idle = 540ms,
                        .delay = 500ms,
                        .claim = 1s,
                        .lease = 7s,
                        .expiry = 10s,
                        .waiters = 3,
                        .tells_first = true};

History read(const std::string& text) {
  std::istringstream in{text};
  History history;
  for (Event event; in >> event;) history.push_back(event);
  EXPECT_TRUE(in.eof()) << "line " << history.size() + 1;
  return history;
}

/// In milliseconds, for the sake of the reader.
std::vector<std::string> violations(const std::string& text) {
  History history = read(text);
  for (Event& event : history) {
    event.time *= 1'000'000;
    if (event.until != Event{}.until) event.until *= 1'000'000;
  }
  std::vector<std::string> texts;
  for (const Violation& violation : check(std::move(history), bounds).violations) texts.push_back(violation.text);
  return texts;
}

// A history survives being written and read.
TEST(History, IsText) {
  const std::string text =
      "12345 want 21 stock a 500000 -\n"
      "12346 disturbed 21 - - 9223372036854775807 -\n"
      "12347 ended 21 stock a 0 taken\n"
      "12348 disaster 0 - - 0 restart\n";
  std::ostringstream out;
  for (const Event& event : read(text)) out << event << '\n';
  EXPECT_EQ(out.str(), text);
}

// One after the other is what a lock is for.
TEST(Checker, OneAfterTheOtherIsFine) {
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 5 release 1 k a 0 -\n 6 released 1 k a 0 -\n"
                         "2 want 2 k b 9000 -\n 7 inside 2 k b 907 -\n 9 release 2 k b 0 -\n 10 released 2 k b 0 -\n"),
              IsEmpty());
}

// Two at a time, also if the first relied on a lease that went on.
TEST(Checker, TwoInsideAreFound) {
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 5 release 1 k a 0 -\n"
                         "2 want 2 k b 9000 -\n 4 inside 2 k b 904 -\n 9 release 2 k b 0 -\n"),
              ElementsAre(HasSubstr("two inside")));
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 20 -\n 10 lease 1 k a 900 -\n 50 release 1 k a 0 -\n"
                         "2 want 2 k b 9000 -\n 30 inside 2 k b 904 -\n 40 release 2 k b 0 -\n"),
              ElementsAre(HasSubstr("two inside")));
}

// Whose lease has ended, or who is dead, is inside no more; other keys are other locks.
TEST(Checker, WhoeverIsOutMayBeFollowed) {
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 20 -\n 20 lost 1 k a 0 -\n 50 release 1 k a 0 -\n"
                         "2 want 2 k b 9000 -\n 20 inside 2 k b 904 -\n 40 release 2 k b 0 -\n"),
              IsEmpty());
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 10 dead 1 - - 0 -\n"
                         "2 want 2 k b 9000 -\n 20 inside 2 k b 904 -\n 40 release 2 k b 0 -\n"),
              IsEmpty());
  EXPECT_THAT(violations("0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 50 release 1 k a 0 -\n"
                         "2 want 2 l b 9000 -\n 20 inside 2 l b 904 -\n 40 release 2 l b 0 -\n"),
              IsEmpty());
}

// Who deletes locks by hand breaks the promise, for the one who had it then only.
TEST(Checker, ADisasterExcusesThoseItStruck) {
  const std::string two =
      "0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 50 release 1 k a 0 -\n"
      "2 want 2 k b 9000 -\n 20 inside 2 k b 904 -\n 40 release 2 k b 0 -\n";
  EXPECT_THAT(violations(two + "10 disaster 0 k - 0 DEL\n"), IsEmpty());
  EXPECT_THAT(violations(two + "10 disaster 0 l - 0 DEL\n"), ElementsAre(HasSubstr("two inside")));
  EXPECT_THAT(violations(two + "30 disaster 0 k - 0 DEL\n"), ElementsAre(HasSubstr("two inside")));
}

// Limits: never earlier, and for whom nothing disturbs not much later.
TEST(Checker, LimitsAreHonoured) {
  EXPECT_THAT(violations("0 want 1 k a 500 -\n 500 ended 1 k a 0 taken\n"), IsEmpty());
  EXPECT_THAT(violations("0 want 1 k a 500 -\n 499 ended 1 k a 0 taken\n"), ElementsAre(HasSubstr("before its limit")));
  EXPECT_THAT(violations("0 want 1 k a 500 -\n 100 ended 1 k a 0 cancelled\n"), IsEmpty());
  EXPECT_THAT(violations("0 want 1 k a 500 -\n 600 ended 1 k a 0 taken\n"), ElementsAre(HasSubstr("after its limit")));
  EXPECT_THAT(violations("0 want 1 k a 500 -\n 600 ended 1 k a 0 taken\n 450 disturbed 1 - - 600 -\n"), IsEmpty());
}

// A release within the lease is told apart from a lock that was lost.
TEST(Checker, AReleaseInTimeSucceeds) {
  const std::string held = "0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n";
  EXPECT_THAT(violations(held + "5 release 1 k a 0 -\n 6 gone 1 k a 0 -\n"), ElementsAre(HasSubstr("told otherwise")));
  EXPECT_THAT(violations(held + "900 lost 1 k a 0 -\n 950 release 1 k a 0 -\n 951 gone 1 k a 0 -\n"), IsEmpty());
}

// With the server's side of it: who relies on a lock has it there, and not for longer.
TEST(Checker, AHoldIsBackedByTheServer) {
  const std::string held = "0 want 1 k a 0 -\n 2 inside 1 k a 900 -\n 500 release 1 k a 0 -\n 502 released 1 k a 0 -\n";
  EXPECT_THAT(violations(held + "1 owner 0 k a 1000 -\n 501 free 0 k - 0 -\n"), IsEmpty());
  EXPECT_THAT(violations(held + "1 owner 0 k a 1000 -\n 400 free 0 k - 0 -\n"),
              ElementsAre(HasSubstr("not its own on the server")));
  EXPECT_THAT(violations(held + "1 owner 0 k a 800 -\n 501 free 0 k - 0 -\n"),
              ElementsAre(HasSubstr("for longer than the server")));
}

// In line: in order, in time, to those who can hear of it.
TEST(Checker, TheLineIsServedInOrder) {
  const std::string line =
      "0 owner 0 k x 5000 -\n"
      "0 want 1 k a 9000 -\n 10 queued 0 k a 4000 -\n 0 want 2 k b 9000 -\n 20 queued 0 k b 4000 -\n";
  const std::string b_first =
      "100 owner 0 k b 1100 handed\n 100 unqueued 0 k b 0 -\n 101 inside 2 k b 1050 -\n"
      "105 release 2 k b 0 -\n 110 released 2 k b 0 -\n 108 owner 0 k a 1108 handed\n"
      "108 unqueued 0 k a 0 -\n 109 inside 1 k a 1050 -\n 110 release 1 k a 0 -\n"
      "112 released 1 k a 0 -\n 111 free 0 k - 0 -\n";
  EXPECT_THAT(violations(line + b_first), ElementsAre(HasSubstr("served out of turn")));
  EXPECT_THAT(violations(line + b_first + "50 disturbed 1 - - 60 -\n"), IsEmpty());
}

TEST(Checker, ALockIsHandedToWhomItReaches) {
  const std::string waits = "0 owner 0 k x 5000 -\n 0 want 1 k a 9000 -\n 10 queued 0 k a 4000 -\n";
  const std::string takes =
      "100 unqueued 0 k a 0 -\n 101 inside 1 k a 1050 -\n 110 release 1 k a 0 -\n"
      "112 released 1 k a 0 -\n 111 free 0 k - 0 -\n";
  EXPECT_THAT(violations(waits + "100 owner 0 k a 1100 handed\n" + takes), IsEmpty());
  EXPECT_THAT(violations(waits + "100 owner 0 k a 1100 handed-to-unreachable\n" + takes),
              ElementsAre(HasSubstr("handed-to-unreachable")));
  EXPECT_THAT(violations(waits + "100 owner 0 k a 7100 handed\n" + takes), ElementsAre(HasSubstr("for too long")));
}

// A lock that is free, or handed over, is taken within the bound by whom nothing disturbs.
TEST(Checker, NobodyWaitsInVain) {
  EXPECT_THAT(violations("0 owner 0 k x 100 -\n 0 want 1 k a 9000 -\n 10 queued 0 k a 4000 -\n"
                         "700 owner 0 k a 1700 -\n 700 unqueued 0 k a 0 -\n 701 inside 1 k a 1050 -\n"
                         "702 release 1 k a 0 -\n 704 released 1 k a 0 -\n 703 free 0 k - 0 -\n"),
              ElementsAre(HasSubstr("a free lock that is not taken"), HasSubstr("not in at once")));
  EXPECT_THAT(violations("0 owner 0 k x 100 -\n 0 want 1 k a 9000 -\n 10 queued 0 k a 4000 -\n"
                         "50 owner 0 k a 1050 handed\n 50 unqueued 0 k a 0 -\n 150 inside 1 k a 1000 -\n"
                         "152 release 1 k a 0 -\n 154 released 1 k a 0 -\n 153 free 0 k - 0 -\n"),
              ElementsAre(HasSubstr("not inside in time")));
}

// Who gave up is nobody for the server any more.
TEST(Checker, WhoGaveUpLeavesNothing) {
  const std::string gave_up =
      "0 owner 0 k x 5000 -\n 0 want 1 k a 500 -\n 10 queued 0 k a 4000 -\n 500 ended 1 k a 0 taken\n";
  EXPECT_THAT(violations(gave_up + "505 unqueued 0 k a 0 -\n"), IsEmpty());
  EXPECT_THAT(violations(gave_up + "3000 unqueued 0 k a 0 -\n"), ElementsAre(HasSubstr("in line although")));
}

// Whoever listens to nobody looks by itself, and it is renewed for those who asked for that.
TEST(Checker, ARenewedLeaseIsNotLost) {
  const std::string held = "0 want 1 k a 0 -\n 1 inside 1 k a 900 renewed\n 500 release 1 k a 0 -\n";
  EXPECT_THAT(violations(held), IsEmpty());
  EXPECT_THAT(violations(held + "300 lost 1 k a 0 -\n"), ElementsAre(HasSubstr("although its lease is renewed")));
  EXPECT_THAT(violations(held + "300 lost 1 k a 0 -\n 200 disturbed 1 - - 250 -\n"), IsEmpty());
}

TEST(Checker, AnExtensionIsGoodForWhatWasAskedFor) {
  const std::string extended =
      "0 want 1 k a 0 -\n 1 inside 1 k a 900 -\n 102 extended 1 k a 5000 -\n 500 release 1 k a 0 -\n";
  EXPECT_THAT(violations(extended + "101 lease 1 k a 4990 -\n"), IsEmpty());
  EXPECT_THAT(violations(extended + "101 lease 1 k a 1000 -\n"), ElementsAre(HasSubstr("and has less")));
}

// ---- processes --------------------------------------------------------------------------------------------------------

// What one has at the server goes on with the next of its process; and what has ended does not.
TEST(Checker, AWayToTheServerIsTakenUpByTheNext) {
  const std::string waits =
      "0 owner 0 k x 5000 -\n 0 want 1000 k 1000-1 500 - 5\n 0 leads 1000 k a 500 -\n"
      "1 want 1001 k 1001-1 9000 - 5\n 501 ended 1000 k 1000-1 0 taken\n 600 ended 1001 k 1001-1 0 cancelled\n";
  const std::string yields = "500 yields 1000 k a 0 cancelled\n";
  EXPECT_THAT(violations(waits + yields + "501 leads 1001 k a 9000 -\n"), IsEmpty());
  EXPECT_THAT(violations(waits + yields + "501 leads 1001 k b 9000 -\n"), ElementsAre(HasSubstr("begins anew")));
  EXPECT_THAT(violations(waits + "500 ended 1000 k a 0 cancelled\n 501 leads 1001 k a 9000 -\n"),
              ElementsAre(HasSubstr("goes on although it has ended")));
}

TEST(Checker, SomebodyAsksForThoseWhoWait) {
  const std::string waits =
      "0 owner 0 k x 5000 -\n 0 want 1000 k 1000-1 9000 - 5\n 900 ended 1000 k 1000-1 0 cancelled\n";
  EXPECT_THAT(violations(waits + "100 leads 1000 k a 9000 -\n"), IsEmpty());
  EXPECT_THAT(violations(waits + "300 leads 1000 k a 9000 -\n"), ElementsAre(HasSubstr("nobody asks for those")));
  EXPECT_THAT(violations(waits + "300 leads 1000 k a 9000 -\n 10 disturbed 1000 - - 250 -\n"), IsEmpty());
}

/// One passes the lock to another of its process then.
std::string pass(const std::string& time, const std::string& lasts_until) {
  return "0 owner 0 k a 5000 -\n 0 want 1000 k 1000-1 9000 - 9\n 0 leads 1000 k a 9000 -\n"
         "1 ended 1000 k 1000-1 0 has-it\n 1 inside 1000 k a 5000 -\n 2 want 1001 k 1001-1 9000 - 2\n" +
         time + " release 1000 k a 0 -\n" + time + " released 1000 k a 0 passed-on\n" + time +
         " ended 1001 k 1001-1 0 has-it\n" + time + " inside 1001 k a+1 " + lasts_until + " -\n" +
         "201 release 1001 k a+1 0 -\n 203 released 1001 k a+1 0 -\n 202 free 0 k - 0 -\n";
}

TEST(Checker, ALockIsPassedOnForAShortTimeWhileOthersWait) {
  const std::string other = "5 queued 0 k z 4000 -\n";
  EXPECT_THAT(violations(pass("200", "5000")), IsEmpty());
  EXPECT_THAT(violations(pass("60", "5000") + other), IsEmpty());
  EXPECT_THAT(violations(pass("200", "5000") + other), ElementsAre(HasSubstr("for too long while others wait")));
}

TEST(Checker, WhatIsPassedOnIsTheirsAndLasts) {
  const std::string deleted = "50 free 0 k - 0 DEL\n 50 disaster 0 k - 0 DEL\n";
  EXPECT_THAT(violations(pass("80", "5000") + deleted), IsEmpty());
  EXPECT_THAT(violations(pass("200", "5000") + deleted), ElementsAre(HasSubstr("not theirs on the server")));
  EXPECT_THAT(violations(pass("60", "3000")), ElementsAre(HasSubstr("next to nothing")));
}

TEST(Checker, NoProcessIsOvertaken) {
  const std::string served =
      "0 owner 0 k x 5000 -\n 299 want 2000 k 2000-1 9000 - 5\n 299 leads 2000 k b 9000 -\n 300 queued 0 k b 4000 -\n"
      "400 owner 0 k b 1400 handed\n 400 unqueued 0 k b 0 -\n 401 ended 2000 k 2000-1 0 has-it\n"
      "401 inside 2000 k b 1350 -\n 402 release 2000 k b 0 -\n 404 released 2000 k b 0 -\n 403 free 0 k - 0 -\n";
  // Two of another process want it. The first gives up, and takes the place with it, which should be the next one's.
  const auto other = [](const std::string& since, const std::string& place) {
    return since + " want 1000 k 1000-1 250 - 5\n" + since + " want 1001 k 1001-1 9000 - 5\n" + since +
           " leads 1000 k a 250 -\n" + place +
           "250 ended 1000 k a 0 timed-out\n250 ended 1000 k 1000-1 0 timed-out\n251 leads 1001 k c 9000 -\n";
  };
  const auto with_place = [&](const std::string& since) {
    return other(since, since + " queued 0 k a 4000 -\n250 unqueued 0 k a 0 -\n");
  };
  EXPECT_THAT(violations(served + with_place("200")), IsEmpty());
  EXPECT_THAT(violations(served + with_place("100")), ElementsAre(HasSubstr("served before a process")));
  EXPECT_THAT(violations(served + other("100", "")), IsEmpty()) << "the server did not know of it";
  const std::string alone = "101 want 1002 k 1002-1 9000 - 0\n101 leads 1002 k d 9000 -\n101 queued 0 k d 4000 -\n";
  const std::string gone =
      "250 unqueued 0 k d 0 -\n250 ended 1002 k d 0 cancelled\n250 ended 1002 k 1002-1 0 cancelled\n";
  EXPECT_THAT(violations(served + other("100", "") + alone + gone), IsEmpty())
      << "who stands in no line of its process";
}

}  // namespace
}  // namespace redismutex::histories
