// What a Link puts on the wire and takes off it. Its waits and threads: link_wait_test.cpp.

#include "net/link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Waited = Link::Waited;

/// Gives its reader `first` bytes at first and then `later` at a time, however many have arrived.
class Sliced final : public Stream {
 public:
  Sliced(std::unique_ptr<Stream> whole, std::size_t first, std::size_t later)
      : whole_{std::move(whole)}, next_{first}, later_{later} {}

  Transfer read_now(std::span<char> buffer) override { return sliced(buffer, &Stream::read_now); }
  Transfer read_blocking(std::span<char> buffer) override { return sliced(buffer, &Stream::read_blocking); }
  bool has_buffered() override { return whole_->has_buffered(); }
  Transfer write_now(std::string_view bytes) override { return whole_->write_now(bytes); }
  void shut_down() noexcept override { whole_->shut_down(); }
  int fd() const noexcept override { return whole_->fd(); }

 private:
  Transfer sliced(std::span<char> buffer, Transfer (Stream::*read)(std::span<char>)) {
    Transfer result = (whole_.get()->*read)(buffer.first(std::min(next_, buffer.size())));
    if (result.status == Status::ok) next_ = later_;
    return result;
  }

  std::unique_ptr<Stream> whole_;
  std::size_t next_;
  std::size_t later_;
};

/// The answer to a command whose answer comes with `bytes`, or how the wait ended without one.
struct Outcome {
  Waited waited;
  std::string reply;
};

Outcome answer_to(Linked& linked, std::string_view bytes) {
  Request call;
  send(linked.link, call, "PING");
  linked.peer.send(bytes);
  const Waited waited = linked.link.wait(call, far(), {});
  return {waited, waited == Waited::done ? shown(call.reply()) : ""};
}

// ---- out ----

// Commands leave as arrays of strings, right behind each other and whatever bytes are in them.
TEST(Link, WritesCommandsOneRightBehindTheOther) {
  Linked linked;
  const std::array first{"SET"sv, "a\0\r\n"sv, ""sv};
  const std::array second{"PING"sv};
  linked.link.send({{nullptr, first}, {nullptr, second}});
  const std::string expected = "*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n"s;
  EXPECT_EQ(linked.peer.receive_bytes(expected.size()), expected);
}

// The longest key and a script go out whole, more than the socket takes at once too.
TEST(Link, WritesLongArgumentsWhole) {
  Linked linked;
  const std::string key(2'000'000, 'k');
  const std::array command{"EVAL"sv, std::string_view{key}};
  Request call;
  linked.link.send({{&call, command}});
  std::thread reader{[&] { EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done); }};
  EXPECT_THAT(linked.peer.receive(), ::testing::Optional(ElementsAre("EVAL", key)));
  linked.peer.send("+OK\r\n");
  reader.join();
}

/// Counts what its writer sends at once.
class CountedStream final : public Stream {
 public:
  CountedStream(std::unique_ptr<Stream> whole, std::atomic<int>& writes) : whole_{std::move(whole)}, writes_{writes} {}

  Transfer read_now(std::span<char> buffer) override { return whole_->read_now(buffer); }
  Transfer read_blocking(std::span<char> buffer) override { return whole_->read_blocking(buffer); }
  bool has_buffered() override { return whole_->has_buffered(); }
  Transfer write_now(std::string_view bytes) override {
    ++writes_;
    return whole_->write_now(bytes);
  }
  void shut_down() noexcept override { whole_->shut_down(); }
  int fd() const noexcept override { return whole_->fd(); }

 private:
  std::unique_ptr<Stream> whole_;
  std::atomic<int>& writes_;
};

/// A link that has just completed the calls of a crowd, whose threads are about to ask again.
struct Crowd : ::testing::Test {
  static constexpr int size = 10;

  std::atomic<int> writes{0};
  Linked linked{{.wrap = [this](auto stream) { return std::make_unique<CountedStream>(std::move(stream), writes); }}};

  Crowd() {
    Burst calls{size};
    for (BlockingCall& call : calls) send(linked.link, call, "PING");
    std::string replies;
    for (int i = 0; i < size; ++i) {
      EXPECT_TRUE(linked.peer.receive());
      replies += "+PONG\r\n";
    }
    linked.peer.send(replies);
    for (BlockingCall& call : calls) EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done);
    writes = 0;
  }
};

// What those send who were woken together goes out together, with the first who waits for an answer.
TEST_F(Crowd, SendsTogether) {
  Burst calls{3};
  for (BlockingCall& call : calls) send(linked.link, call, "PING");
  EXPECT_EQ(writes, 0);
  linked.peer.send("+1\r\n+2\r\n+3\r\n");
  for (BlockingCall& call : calls) EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(writes, 1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(linked.peer.receive());

  Request alone;  // and afterwards each for itself
  send(linked.link, alone, "PING");
  EXPECT_EQ(writes, 2);
}

// A call that nobody waits for goes out at once, where nobody reads.
TEST_F(Crowd, LeavesNothingUnsent) {
  Posted posted;
  send(linked.link, posted, "POSTED");
  EXPECT_EQ(writes, 1);
  linked.link.withdraw(posted);
}

// And so does what was left to a reader who then gives up.
TEST_F(Crowd, WhoGivesUpHasSentAllTheSame) {
  Request call;
  Posted posted;
  send(linked.link, call, "GIVEN UP");
  send(linked.link, posted, "POSTED");
  EXPECT_EQ(writes, 0);
  EXPECT_EQ(linked.link.wait(call, Deadline{}, {}), Waited::timed_out);
  EXPECT_EQ(writes, 1);
  linked.link.withdraw(posted);
}

// ---- in ----

// A reply of any type reaches its call as the server wrote it; a refusal is a reply.
TEST(Link, DeliversRepliesOfEveryType) {
  Linked linked;
  for (const auto& [bytes, reply] : {
           std::pair{"+OK\r\n", "+OK"},
           std::pair{"-WRONGTYPE no lock\r\n", "-WRONGTYPE no lock"},
           std::pair{":-42\r\n", "-42"},
           std::pair{"$5\r\na\r\nbc\r\n", "'a\r\nbc'"},
           std::pair{"$0\r\n\r\n", "''"},
           std::pair{"$-1\r\n", "nil"},
           std::pair{"_\r\n", "nil"},
           std::pair{"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", "[1 ['x']]"},
           std::pair{"%1\r\n+proto\r\n:3\r\n", "{+proto 3}"},
       }) {
    const Outcome outcome = answer_to(linked, bytes);
    EXPECT_EQ(outcome.waited, Waited::done) << bytes;
    EXPECT_EQ(outcome.reply, reply);
  }
}

// A long reply, read in many pieces, is delivered whole.
TEST(Link, DeliversALongReplyWhole) {
  Linked linked;
  const std::string text(100'000, 'x');
  EXPECT_EQ(answer_to(linked, "$100000\r\n" + text + "\r\n").reply, "'" + text + "'");
}

// However the stream is cut into reads, each call gets its reply and each push its handler, in the order of the wire.
// All places for one cut are tried, and one byte at a time; in a reader that sleeps in recv() and one that polls.
TEST(Link, SurvivesEveryCut) {
  constexpr auto wire =
      ">2\r\n$1\r\na\r\n:1\r\n"
      "+OK\r\n"
      "$4\r\n\r\n\r\n\r\n"
      ">1\r\n*1\r\n+b\r\n"
      "-ERR no\r\n"
      ">1\r\n+c\r\n"
      "*2\r\n$-1\r\n:7\r\n"sv;
  const std::vector<std::string> replies{"+OK", "'\r\n\r\n'", "-ERR no", "[nil 7]"};
  const std::vector<std::string> pushes{"push('a' 1)", "push([+b])", "push(+c)"};
  for (const bool polls : {false, true}) {
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
      const std::size_t first = std::max(cut, std::size_t{1}), later = cut == 0 ? 1 : wire.size();
      std::vector<std::string> pushed, replied;
      Linked linked{{.on_push = [&](ReplyView push) { pushed.push_back(shown(push)); },
                     .wrap = [&](auto stream) { return std::make_unique<Sliced>(std::move(stream), first, later); }}};
      Burst calls{4};
      for (BlockingCall& call : calls) send(linked.link, call, "PING");
      linked.peer.send(wire);
      const std::stop_source never;
      for (BlockingCall& call : calls) {
        ASSERT_EQ(linked.link.wait(call, far(), polls ? never.get_token() : std::stop_token{}), Waited::done) << cut;
        replied.push_back(shown(call.reply()));
      }
      EXPECT_EQ(replied, replies) << cut;
      EXPECT_EQ(pushed, pushes) << cut;
    }
  }
}

// Several replies in one read complete their calls in the order of the commands, in whatever order they are waited for.
TEST(Link, SeveralRepliesInOneReadGoToTheirCalls) {
  Linked linked;
  Burst calls{3};
  for (BlockingCall& call : calls) send(linked.link, call, "PING");
  linked.peer.send(":0\r\n:1\r\n:2\r\n");
  for (const std::size_t i : {2U, 0U, 1U}) {
    ASSERT_EQ(linked.link.wait(calls[i], far(), {}), Waited::done);
    EXPECT_EQ(calls[i].reply().integer(), static_cast<long long>(i));
  }
}

// The reply to a command that nobody waits for is dropped, and counted; the next call gets its own.
TEST(Link, DropsTheReplyThatNobodyWantsToHear) {
  Linked linked;
  const std::array<std::string_view, 1> load{"LOAD"}, run{"RUN"};
  Request call;
  linked.link.send({{nullptr, load}, {&call, run}});
  linked.peer.send("+loaded\r\n+ran\r\n");
  ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(shown(call.reply()), "+ran");
}

/// As a login leaves it: one command answered, one in flight, and half of that one's answer read.
Wire wire_after_login() {
  Wire wire;
  Call greeted;
  Calls over;
  std::vector<Reply> pushes;
  const std::array hello{"HELLO"sv}, name{"NAME"sv};
  wire.submit(&greeted, hello, far());
  wire.sent(wire.outgoing().size());
  wire.submit(nullptr, name, far());
  wire.received("+hello\r\n+na", over, pushes);
  return wire;
}

// A link goes on where the login has stopped. Answers to the login, and to what is sent along with it, are none to a caller.
TEST(Link, GoesOnWhereTheLoginHasStopped) {
  Greeting greeting;
  greeting.client_id = 7;
  Linked linked{{.greeting = greeting, .wire = wire_after_login}};
  EXPECT_EQ(linked.link.greeting().client_id, 7);
  EXPECT_THAT(linked.peer.receive(), ::testing::Optional(ElementsAre("NAME")));
  linked.peer.send("med\r\n");
  Request early;
  send(linked.link, early, "EARLY");
  EXPECT_EQ(linked.link.wait(early, std::chrono::steady_clock::now() + 20ms, {}), Waited::timed_out);
  EXPECT_FALSE(linked.link.has_served());
  Request call;
  send(linked.link, call, "PING");
  linked.peer.send("+early\r\n+pong\r\n");
  ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(shown(call.reply()), "+pong");
  EXPECT_TRUE(linked.link.has_served());
}

// In RESP3 nothing answers a SUBSCRIBE but the push that confirms it: that is its reply. A refusal comes as any other.
TEST(Link, TheConfirmationOfASubscriptionIsItsReply) {
  std::vector<std::string> pushed;
  Linked linked{{.on_push = [&](ReplyView push) { pushed.push_back(shown(push)); }}};
  Burst calls{3};
  for (BlockingCall& call : calls) send(linked.link, call, "SUBSCRIBE");
  linked.peer.send(
      ">3\r\n$7\r\nmessage\r\n+c\r\n+early\r\n"
      ">3\r\n$9\r\nsubscribe\r\n+c\r\n:1\r\n"
      ">3\r\n$7\r\nmessage\r\n+c\r\n+text\r\n"
      "-NOPERM no such channel for you\r\n"
      "+OK\r\n");
  std::vector<std::string> replies;
  for (BlockingCall& call : calls) {
    ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
    replies.push_back(shown(call.reply()));
  }
  EXPECT_THAT(replies, ElementsAre("push('subscribe' +c 1)", "-NOPERM no such channel for you", "+OK"));
  EXPECT_THAT(pushed, ElementsAre("push('message' +c +early)", "push('message' +c +text)"));
}

// Links can be told apart, also one that comes to lie where another was.
TEST(Link, HasAnIdOfItsOwn) {
  auto first = std::make_unique<Linked>();
  const auto id = first->link.id();
  first = std::make_unique<Linked>();
  const Linked second;
  EXPECT_NE(first->link.id(), id);
  EXPECT_NE(second.link.id(), id);
  EXPECT_NE(second.link.id(), first->link.id());
}

// ---- the end of the stream ----

// A close at any place inside a reply breaks the call; it never gets half a reply.
TEST(Link, ACloseInsideAReplyBreaksIt) {
  constexpr auto reply = "*2\r\n$3\r\nabc\r\n:1\r\n"sv;
  for (std::size_t size = 0; size < reply.size(); ++size) {
    Linked linked;
    Request call;
    send(linked.link, call, "PING");
    linked.peer.receive();
    linked.peer.send(reply.substr(0, size));
    linked.peer.close();
    EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::broken) << size;
    EXPECT_EQ(linked.link.failure().kind, Failure::Kind::unreachable);
    EXPECT_TRUE(linked.link.broken());
  }
}

// A close behind a reply leaves that reply good, and breaks the calls after it.
TEST(Link, ACloseBetweenRepliesBreaksTheRest) {
  Linked linked;
  Burst calls{3};
  for (BlockingCall& call : calls) {
    send(linked.link, call, "PING");
    linked.peer.receive();
  }
  linked.peer.send("+OK\r\n");
  linked.peer.close();
  EXPECT_EQ(linked.link.wait(calls[0], far(), {}), Waited::done);
  EXPECT_EQ(linked.link.wait(calls[1], far(), {}), Waited::broken);
  EXPECT_EQ(linked.link.wait(calls[2], far(), {}), Waited::broken);
  EXPECT_THAT(linked.link.failure().text, HasSubstr("closed"));
}

// Sending to a peer that has gone raises no signal, and breaks the call; everything that is sent later, too.
TEST(Link, AWriteErrorBreaksTheCallsNowAndLater) {
  Linked linked;
  linked.peer.close();
  for (int i = 0; i < 3; ++i) {
    Request call;
    send(linked.link, call, "PING");
    EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::broken);
    EXPECT_TRUE(linked.link.broken());
  }
  EXPECT_EQ(linked.link.failure().kind, Failure::Kind::unreachable);
}

// A server that refuses us says why and closes, and our next command may find it closed: what it said is heard all the
// same, for the call in flight at that time.
TEST(Link, WhatAPeerSaidBeforeItClosedIsHeard) {
  Linked linked;
  Request first, second;
  send(linked.link, first, "FIRST");
  linked.peer.receive();
  linked.peer.send("-ERR max number of clients reached\r\n");
  linked.peer.close();
  send(linked.link, second, "SECOND");
  ASSERT_EQ(linked.link.wait(first, far(), {}), Waited::done);
  EXPECT_EQ(shown(first.reply()), "-ERR max number of clients reached");
  EXPECT_EQ(linked.link.wait(second, far(), {}), Waited::broken);
}

// A peer that reads nothing breaks the link when the command's time is up, and so does one that lets too much wait.
TEST(Link, APeerThatTakesNoDataBreaksIt) {
  Linked slow{{.reply_timeout = 20ms}};
  Request call;
  send(slow.link, call, std::string(2'000'000, 'x'));
  EXPECT_EQ(slow.link.wait(call, far(), {}), Waited::broken);
  EXPECT_THAT(slow.link.failure().text, HasSubstr("takes no more data"));

  Linked flooded;
  Burst calls{2};
  for (BlockingCall& each : calls) send(flooded.link, each, std::string(Link::max_unsent_size, 'x'));
  for (BlockingCall& each : calls) EXPECT_EQ(flooded.link.wait(each, far(), {}), Waited::broken);
  EXPECT_THAT(flooded.link.failure().text, HasSubstr("takes no more data"));
}

// After a failure nothing more is written: the peer sees what was sent before, and then the end.
TEST(Link, SendsNothingAfterAFailure) {
  Linked linked;
  Request before, after;
  send(linked.link, before, "BEFORE");
  linked.link.fail({Failure::Kind::unreachable, "on purpose"});
  linked.link.fail({Failure::Kind::unusable, "too late to be the reason"});
  send(linked.link, after, "AFTER");
  EXPECT_THAT(linked.peer.receive(), ::testing::Optional(ElementsAre("BEFORE")));
  EXPECT_EQ(linked.peer.receive(), std::nullopt);
  EXPECT_EQ(linked.link.wait(before, far(), {}), Waited::broken);
  EXPECT_EQ(linked.link.wait(after, far(), {}), Waited::broken);
  EXPECT_EQ(linked.link.failure().text, "on purpose");
}

// ---- peers that are no server of ours ----

// What is not the protocol breaks the link for good: another service's greeting, noise, a length that is no number.
TEST(Link, AnotherProtocolIsUnusable) {
  for (const std::string_view bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n"sv, "\0\0\0\0"sv, "\x15\x03\x01\x00\x02"sv,
                                       "$abc\r\n"sv, "*-2\r\n"sv, "$-2\r\n"sv, ":1x\r\n"sv, "\r\n"sv}) {
    Linked linked;
    EXPECT_EQ(answer_to(linked, bytes).waited, Waited::broken) << bytes;
    EXPECT_EQ(linked.link.failure().kind, Failure::Kind::unusable) << bytes;
    EXPECT_THAT(linked.link.failure().text, HasSubstr("not the protocol of a Redis server"));
  }
}

/// What a link with one call in flight makes of a peer that sends `header` and then `chunk` again and again.
struct Flooded {
  Waited waited;
  Failure::Kind kind;
  std::size_t taken;  // bytes, by the link and its socket
};

Flooded flood(std::string_view header, std::string_view chunk) {
  Linked linked;
  Request call;
  send(linked.link, call, "PING");
  std::atomic<std::size_t> taken{0};
  std::thread peer{[&] {
    linked.peer.receive();
    for (bool open = linked.peer.send(header); open && taken < 8 * Resp::max_size; taken += chunk.size()) {
      open = linked.peer.send(chunk);
    }
    linked.peer.close();
  }};
  const Waited waited = linked.link.wait(call, far(), {});
  peer.join();
  return {waited, linked.link.failure().kind, taken};
}

// A reply larger than the limit breaks the link while it is being read, however its size is hidden: no peer can make us
// take much more memory than the limit.
TEST(Link, AReplyBeyondTheLimitBreaksIt) {
  const std::string blob(64'000, 'x');
  const std::string element = "$64000\r\n" + blob + "\r\n";
  for (const auto& [header, chunk] : {
           std::pair{"$2000000000\r\n"s, blob},  // promises much
           std::pair{"$9223372036854775807\r\n"s, blob},
           std::pair{"+"s, blob},             // never ends its line
           std::pair{"*1000\r\n"s, element},  // many pieces, each of a modest size
           std::pair{">1000\r\n"s, element},
       }) {
    const Flooded flooded = flood(header, chunk);
    EXPECT_EQ(flooded.waited, Waited::broken) << header;
    EXPECT_EQ(flooded.kind, Failure::Kind::unusable) << header;
    EXPECT_LT(flooded.taken, 2 * Resp::max_size) << header;
  }
}

// A login's replies have a lower limit. A server's may be large.
TEST(Link, ALargeReplyPasses) {
  Linked linked;
  const std::string large(2'000'000, 'x');
  Request call;
  send(linked.link, call, "PING");
  std::thread peer{[&] { linked.peer.send("$2000000\r\n" + large + "\r\n"); }};
  EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  peer.join();
  EXPECT_EQ(call.reply().text().size(), large.size());
}

// A list that promises more elements than any of our replies has breaks the link at once.
TEST(Link, AnEndlessListBreaksIt) {
  for (const std::string_view header : {"*16385\r\n"sv, "*2147483648\r\n"sv, ">100000\r\n"sv, "%1000000\r\n"sv}) {
    Linked linked;
    EXPECT_EQ(answer_to(linked, header).waited, Waited::broken) << header;
    EXPECT_EQ(linked.link.failure().kind, Failure::Kind::unusable) << header;
  }
}

// Lists in lists in lists break the link long before the recursion that would free them meets the end of the stack.
TEST(Link, AnEndlesslyNestedReplyBreaksIt) {
  std::string levels;
  for (int i = 0; i < 1000; ++i) levels += "*1\r\n";
  const Flooded flooded = flood("", levels);
  EXPECT_EQ(flooded.waited, Waited::broken);
  EXPECT_EQ(flooded.kind, Failure::Kind::unusable);
}

// A reply that nobody asked for breaks the link, so that it is never taken for the answer to the next command: it comes
// while an event is waited for, or behind the one reply that was asked for.
TEST(Link, AnUnaskedReplyBreaksIt) {
  Linked idle;
  Caller event;
  idle.peer.send("+OK\r\n");
  EXPECT_EQ(idle.link.wait(event, far(), {}), Waited::broken);
  EXPECT_EQ(idle.link.failure().kind, Failure::Kind::unusable);

  Linked doubled;
  EXPECT_EQ(answer_to(doubled, "+OK\r\n+OK\r\n").reply, "+OK");
  EXPECT_TRUE(doubled.link.broken());
  EXPECT_EQ(doubled.link.failure().kind, Failure::Kind::unusable);
}

}  // namespace
}  // namespace redismutex::net
