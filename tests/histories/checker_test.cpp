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
                        .waiters = 3};

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

}  // namespace
}  // namespace redismutex::histories
