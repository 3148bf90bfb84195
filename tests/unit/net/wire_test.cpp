// The state of one connection, by bytes: no socket, no thread, no clock.

#include "net/wire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <deque>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/allocations.hpp"
#include "unit/net/shown.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view ping = "*1\r\n$4\r\nPING\r\n";
constexpr Deadline start{};

class WireTest : public ::testing::Test {
 protected:
  void submit(Call* call, std::string_view word = "PING", Deadline overdue_at = start) {
    const std::array arguments{word};
    wire.submit(call, arguments, overdue_at);
  }

  /// Takes all that is to be sent.
  std::string sent() {
    std::string all;
    for (std::string_view bytes = wire.outgoing(); !bytes.empty(); bytes = wire.outgoing()) {
      all += bytes;
      wire.sent(bytes.size());
    }
    return all;
  }

  /// Which calls are over after these bytes, by their replies.
  std::vector<std::string> receive(std::string_view bytes) {
    Calls over;
    wire.received(bytes, over, pushes);
    std::vector<std::string> replies;
    while (const Call* const call = over.take()) replies.push_back(shown(call->reply()));
    return replies;
  }

  std::vector<std::string> pushed() {
    std::vector<std::string> all;
    for (const Reply& push : pushes) all.push_back(shown(*push));
    pushes.clear();
    return all;
  }

  Wire wire;
  std::vector<Reply> pushes;
};

// A login does that: what was refused before the password was told is asked for again.
TEST_F(WireTest, ACallThatIsUsedAgainKeepsTheNewAnswerAlone) {
  const auto string_of = [](std::size_t size) {
    return "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n";
  };
  std::string list = "*20\r\n";
  for (int i = 0; i < 20; ++i) list += ":1\r\n";
  Call call;
  for (const std::string& answer : {string_of(80), string_of(80), string_of(200), string_of(90), list, string_of(5)}) {
    submit(&call);
    Calls over;
    wire.received(answer, over, pushes);
    ASSERT_EQ(over.take(), &call);
    Call fresh;
    submit(&fresh);
    wire.received(answer, over, pushes);
    ASSERT_EQ(over.take(), &fresh);
    EXPECT_EQ(shown(call.reply()), shown(fresh.reply()));
  }
}

// ---- out ------------------------------------------------------------------------------------------------------------

TEST_F(WireTest, NothingIsToBeSentAtFirst) {
  EXPECT_EQ(wire.outgoing(), "");
  EXPECT_EQ(wire.unsent(), 0);
  EXPECT_EQ(wire.in_flight(), 0);
  EXPECT_EQ(wire.next_deadline(), Deadline::max());
}

TEST_F(WireTest, CommandsGoOutInTheirOrderRightBehindEachOther) {
  Call call;
  submit(nullptr, "FIRST");
  submit(&call, "SECOND");
  EXPECT_EQ(call.state(), Call::State::in_flight);
  EXPECT_EQ(wire.in_flight(), 2);
  EXPECT_EQ(sent(), "*1\r\n$5\r\nFIRST\r\n*1\r\n$6\r\nSECOND\r\n");
}

// What is being sent stays where it is, whatever is submitted meanwhile, and goes on after a part of it was taken.
TEST_F(WireTest, WhatIsBeingSentStaysWhereItIs) {
  submit(nullptr);
  const std::string_view bytes = wire.outgoing();
  for (int i = 0; i < 100; ++i) submit(nullptr);
  EXPECT_EQ(bytes, ping);
  wire.sent(5);
  EXPECT_EQ(wire.unsent(), 101 * ping.size() - 5);
  EXPECT_EQ(wire.outgoing(), ping.substr(5));
  wire.sent(ping.size() - 5);
  std::string rest;
  for (int i = 0; i < 100; ++i) rest += ping;
  EXPECT_EQ(sent(), rest);
  EXPECT_EQ(wire.unsent(), 0);
}

// ---- in -------------------------------------------------------------------------------------------------------------

TEST_F(WireTest, AnswersBelongToTheOldestCommands) {
  Call first, third;
  submit(&first);
  submit(nullptr);
  submit(&third);
  EXPECT_THAT(receive("+1\r\n"), ElementsAre("+1"));
  EXPECT_TRUE(first.answered());
  EXPECT_THAT(receive("+2\r\n"), IsEmpty());
  EXPECT_THAT(receive("-3\r\n"), ElementsAre("-3"));
  EXPECT_EQ(wire.answered(), 3);
  EXPECT_EQ(wire.in_flight(), 0);
  EXPECT_EQ(wire.problem(), "");
}

// However the bytes are cut: at every place, and at every two.
TEST_F(WireTest, EveryCut) {
  constexpr std::string_view bytes =
      "+one\r\n>2\r\n+news\r\n:1\r\n$3\r\ntwo\r\n>3\r\n$9\r\nsubscribe\r\n+c\r\n:1\r\n*2\r\n:1\r\n_\r\n";
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      wire = Wire{};
      std::deque<Call> calls(4);
      for (Call& call : calls) submit(&call);
      std::vector<std::string> replies;
      for (const std::string_view part :
           {bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)}) {
        for (const std::string& reply : receive(part)) replies.push_back(reply);
      }
      ASSERT_THAT(replies, ElementsAre("+one", "'two'", "push('subscribe' +c 1)", "[1 nil]")) << first << " " << second;
      ASSERT_THAT(pushed(), ElementsAre("push(+news 1)"));
    }
  }
}

TEST_F(WireTest, APushIsNoAnswer) {
  Call call;
  submit(&call);
  EXPECT_THAT(receive(">3\r\n$7\r\nmessage\r\n+c\r\n+text\r\n"), IsEmpty());
  EXPECT_THAT(pushed(), ElementsAre("push('message' +c +text)"));
  EXPECT_THAT(receive("+answer\r\n"), ElementsAre("+answer"));
}

// In version 3 of the protocol nothing else answers a SUBSCRIBE; a refusal comes as any other.
TEST_F(WireTest, TheConfirmationOfASubscriptionIsAnAnswer) {
  Call plain, sharded, refused;
  for (Call* call : {&plain, &sharded, &refused}) submit(call);
  EXPECT_THAT(receive(">3\r\n+subscribe\r\n+c\r\n:1\r\n"), ElementsAre("push(+subscribe +c 1)"));
  EXPECT_THAT(receive(">3\r\n+ssubscribe\r\n+c\r\n:1\r\n"), ElementsAre("push(+ssubscribe +c 1)"));
  EXPECT_THAT(receive("-NOPERM\r\n"), ElementsAre("-NOPERM"));
  EXPECT_THAT(pushed(), IsEmpty());
}

// A server that ends a subscription by itself says so in the same words.
TEST_F(WireTest, TheConfirmationOfAnEndOfASubscriptionIsAnAnswer) {
  const auto end_of = [](std::string_view name) {
    return ">3\r\n$12\r\nsunsubscribe\r\n$1\r\n" + std::string{name} + "\r\n:0\r\n";
  };
  EXPECT_THAT(receive(end_of("a")), IsEmpty());
  EXPECT_EQ(pushed().size(), 1U);
  Call ends, next;
  const std::array<std::string_view, 2> arguments{"SUNSUBSCRIBE", "a"};
  wire.submit(&ends, arguments, start);
  submit(&next);
  EXPECT_THAT(receive(end_of("b")), IsEmpty()) << "another one";
  EXPECT_EQ(pushed().size(), 1U);
  EXPECT_EQ(receive(end_of("a")).size(), 1U);
  EXPECT_THAT(receive(end_of("a")), IsEmpty()) << "the server ended it in the same moment";
  EXPECT_EQ(pushed().size(), 1U);
  EXPECT_THAT(receive("+PONG\r\n"), ElementsAre("+PONG"));
  wire.submit(&ends, arguments, start);
  EXPECT_EQ(receive("-MOVED 1 127.0.0.1:1\r\n").size(), 1U);
  EXPECT_THAT(receive(end_of("a")), IsEmpty());
  EXPECT_EQ(wire.problem(), "");
}

TEST_F(WireTest, AnAnswerThatNobodyAskedForIsAProblem) {
  Call call;
  submit(&call);
  EXPECT_THAT(receive("+asked\r\n+unasked\r\n"), ElementsAre("+asked")) << "what came before it counts";
  EXPECT_EQ(wire.problem(), "a reply that nobody asked for");
}

TEST_F(WireTest, WhatIsNotTheProtocolIsAProblem) {
  Call call;
  submit(&call);
  EXPECT_THAT(receive("HTTP/1.1 400 Bad Request\r\n"), IsEmpty());
  EXPECT_NE(wire.problem(), "");
  EXPECT_EQ(call.state(), Call::State::in_flight) << "until somebody gives up the connection";
}

// ---- withdrawal and the end -----------------------------------------------------------------------------------------

TEST_F(WireTest, TheAnswerOfAWithdrawnCallIsDropped) {
  Call first, second;
  submit(&first);
  submit(&second);
  EXPECT_TRUE(wire.withdraw(first));
  EXPECT_FALSE(wire.withdraw(first));
  EXPECT_EQ(wire.in_flight(), 2) << "its answer will come";
  EXPECT_THAT(receive("+1\r\n+2\r\n"), ElementsAre("+2"));
  EXPECT_FALSE(wire.withdraw(second)) << "it is over";
  Call never;
  EXPECT_FALSE(wire.withdraw(never));
}

// Found by its number, also when the ring of calls has grown and gone round.
TEST_F(WireTest, AWithdrawnCallAmongMany) {
  constexpr int rounds = 5, count = 37;
  for (int round = 0; round < rounds; ++round) {
    std::deque<Call> calls(count);
    for (Call& call : calls) submit(&call);
    for (int i = 0; i < count; i += 2) EXPECT_TRUE(wire.withdraw(calls[static_cast<std::size_t>(i)]));
    std::string answers;
    std::vector<std::string> expected;
    for (int i = 0; i < count; ++i) {
      answers += ":" + std::to_string(i) + "\r\n";
      if (i % 2 == 1) expected.push_back(std::to_string(i));
    }
    EXPECT_EQ(receive(answers), expected);
  }
}

TEST_F(WireTest, AFailureEndsAllInFlightInTheirOrder) {
  Call first, second, withdrawn;
  submit(&first);
  submit(nullptr);
  submit(&withdrawn);
  submit(&second);
  wire.withdraw(withdrawn);
  Calls lost;
  wire.fail(lost);
  EXPECT_EQ(lost.take(), &first);
  EXPECT_EQ(lost.take(), &second);
  EXPECT_EQ(lost.take(), nullptr);
  EXPECT_EQ(first.state(), Call::State::lost);
  EXPECT_EQ(withdrawn.state(), Call::State::idle);
  EXPECT_EQ(wire.in_flight(), 0);
  EXPECT_EQ(sent(), "");
}

// A submitted command that was being sent is seen by its sender to the end of the system call.
TEST_F(WireTest, AFailureLeavesWhatIsBeingSentInPlace) {
  submit(nullptr);
  const std::string_view bytes = wire.outgoing();
  Calls lost;
  wire.fail(lost);
  EXPECT_EQ(bytes, ping);
}

// ---- time and memory ------------------------------------------------------------------------------------------------

TEST_F(WireTest, TheOldestCommandIsDueFirst) {
  Call first, second;
  submit(&first, "PING", start + 1s);
  submit(&second, "PING", start + 2s);
  EXPECT_EQ(wire.next_deadline(), start + 1s);
  wire.withdraw(first);
  EXPECT_EQ(wire.next_deadline(), start + 1s) << "the server owes that answer, too";
  receive("+1\r\n");
  EXPECT_EQ(wire.next_deadline(), start + 2s);
  receive("+2\r\n");
  EXPECT_EQ(wire.next_deadline(), Deadline::max());
}

TEST_F(WireTest, NoMemoryIsAllocatedForSmallCommandsAndAnswers) {
  const auto turn = [&] {
    Call call;
    submit(&call);
    wire.sent(wire.outgoing().size());
    Calls over;
    wire.received("+PONG\r\n", over, pushes);
    return over.take() == &call;
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(turn());  // both buffers have their size now
  const auto before = redismutex::testing::allocations();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(redismutex::testing::allocations(), before);
}

// A command for which there is no memory was not submitted: at whichever allocation it fails.
TEST_F(WireTest, ACommandWithoutMemoryLeavesNoTrace) {
  const std::string long_word(100'000, 'x');
  for (int allowed = 0;; ++allowed) {
    Wire fresh;
    std::deque<Call> calls(9);
    const std::array first{ping};
    for (std::size_t i = 0; i < 8; ++i) fresh.submit(&calls[i], first, start);
    const std::size_t unsent = fresh.unsent();
    const std::array arguments{std::string_view{long_word}};
    bool failed = false;
    try {
      redismutex::testing::allocations_left = allowed;
      fresh.submit(&calls[8], arguments, start);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    redismutex::testing::allocations_left = -1;
    if (!failed) {
      EXPECT_GT(allowed, 1) << "the ring grew, and the buffer";
      break;
    }
    EXPECT_EQ(fresh.in_flight(), 8);
    EXPECT_EQ(fresh.unsent(), unsent);
    EXPECT_EQ(calls[8].state(), Call::State::idle);
  }
}

// Who has not logged in yet, and a sentinel, says nothing long.
TEST_F(WireTest, ExpectsLargeRepliesAfterTheLoginOnly) {
  const std::string large = "$2000000\r\n" + std::string(2'000'000, 'x') + "\r\n";
  Call call;
  submit(&call);
  receive(large);
  EXPECT_EQ(wire.problem(), "a reply of more than 1048576 bytes");

  Wire after;
  Calls over;
  after.submit(&call, std::array{ping}, start);
  after.expect_large_replies();
  after.received(large, over, pushes);
  EXPECT_EQ(after.problem(), "");
  EXPECT_EQ(over.take(), &call);
}

// A login hands its wire on: with what is to be sent, and half an answer.
TEST_F(WireTest, MovesWithAllThatIsUnderWay) {
  Call call;
  submit(&call);
  wire.outgoing();
  wire.sent(4);
  receive("+P");
  Wire moved = std::move(wire);
  EXPECT_EQ(moved.outgoing(), ping.substr(4));
  Calls over;
  moved.received("ONG\r\n", over, pushes);
  EXPECT_EQ(over.take(), &call);
  EXPECT_EQ(shown(call.reply()), "+PONG");
}

}  // namespace
}  // namespace redismutex::net
