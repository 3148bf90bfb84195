// What the reactor does at a Link while no caller reads, and how it keeps out of the callers' way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "net/link.hpp"
#include "support/eventually.hpp"
#include "unit/net/counting_stream.hpp"
#include "unit/net/peer.hpp"
#include "unit/net/waiter.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::eventually;
using ::testing::ElementsAre;
using ::testing::Optional;
using Waited = Link::Waited;

/// Where a thread of the link stops until the test lets it go on.
class Barrier {
 public:
  /// The next one who comes stops there.
  void close() { closed_ = true; }
  void open() { open_ = true; }
  bool holds_one() const { return holds_; }

  void pass() {
    if (!closed_.exchange(false)) return;
    holds_ = true;
    EXPECT_TRUE(eventually(limit, [this] { return open_.load(); }));
  }

 private:
  std::atomic<bool> closed_{false}, open_{false}, holds_{false};
};

/// Holds up a writer, and the reactor: before it reads, and when it has.
class HeldUpStream final : public Stream {
 public:
  struct Barriers {
    Barrier writing, reading, has_read;
  };
  HeldUpStream(std::unique_ptr<Stream> stream, Barriers& barriers) : stream_{std::move(stream)}, barriers_{barriers} {}

  Transfer read_now(std::span<char> buffer) override {
    barriers_.reading.pass();
    return stream_->read_now(buffer);
  }
  Transfer read_blocking(std::span<char> buffer) override { return stream_->read_blocking(buffer); }
  bool has_buffered() override {
    barriers_.has_read.pass();
    return stream_->has_buffered();
  }
  Transfer write_now(std::string_view bytes) override {
    barriers_.writing.pass();
    return stream_->write_now(bytes);
  }
  void shut_down() noexcept override { stream_->shut_down(); }
  int fd() const noexcept override { return stream_->fd(); }

 private:
  std::unique_ptr<Stream> stream_;
  Barriers& barriers_;
};

/// Returns when the reactor has done what it had to do by now.
void let_the_reactor_catch_up() {
  const auto reactor = Reactor::shared();
  std::atomic<bool> has{false};
  Reactor::Timer timer{*reactor, [&] { has = true; }};
  timer.set(boot_now());
  EXPECT_TRUE(eventually(limit, [&] { return has.load(); }));
}

// ---- calls that nobody waits for ------------------------------------------------------------------------------------

TEST(LinkReactor, CompletesCallsThatNobodyWaitsFor) {
  Linked linked;
  Posted call;
  send(linked.link, call, "PING");
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("PING")));
  EXPECT_EQ(call.times_over(), 0);
  linked.peer.send("+OK\r\n");
  ASSERT_TRUE(eventually(limit, [&] { return call.times_over() == 1; }));
  EXPECT_EQ(shown(call.reply()), "+OK");
}

// The reader of another call completes them, too; and what comes after it left the reactor does.
TEST(LinkReactor, CallersCompleteThemOnTheirWay) {
  CountingStream::Counts counts;
  Linked linked{{.wrap = [&](auto stream) { return std::make_unique<CountingStream>(std::move(stream), counts); }}};
  Posted before, after;
  Request call;
  send(linked.link, before, "BEFORE");
  send(linked.link, call, "CALL");
  send(linked.link, after, "AFTER");
  linked.peer.send("+before\r\n+call\r\n");
  ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(before.times_over(), 1);
  EXPECT_EQ(counts.elsewhere, 0) << "the caller took the reading from the reactor";
  linked.peer.send("+after\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return after.times_over() == 1; }));
}

TEST(LinkReactor, ALostConnectionIsTheirEndToo) {
  std::atomic<int> ends{0};
  Linked linked{{.on_broken = [&](const Link&) { ++ends; }}};
  Posted call;
  send(linked.link, call, "LOST");
  linked.peer.close();
  ASSERT_TRUE(eventually(limit, [&] { return call.times_over() == 1; }));
  EXPECT_EQ(call.state(), Call::State::lost);
  Posted late;
  send(linked.link, late, "LATE");
  EXPECT_EQ(late.times_over(), 1) << "at once, and by the sender";
  EXPECT_TRUE(eventually(limit, [&] { return ends == 1; }));
}

TEST(LinkReactor, AWithdrawnCallIsNotTouched) {
  Linked linked;
  auto call = std::make_unique<Posted>();
  send(linked.link, *call, "PING");
  ASSERT_TRUE(linked.link.withdraw(*call));
  EXPECT_FALSE(linked.link.withdraw(*call));
  call.reset();
  linked.peer.send("+dropped\r\n");
  Request next;
  send(linked.link, next, "NEXT");
  linked.peer.send("+next\r\n");
  ASSERT_EQ(linked.link.wait(next, far(), {}), Waited::done);
  EXPECT_EQ(shown(next.reply()), "+next");
}

// Withdrawn at any moment around the answer: either it is withdrawn, or it is told once.
TEST(LinkReactor, WithdrawalRacesTheAnswer) {
  constexpr int rounds = 2000;
  constexpr int moments = 50;  // the last of them is when the answer is there
  Linked linked;
  std::thread server{[&] {
    while (linked.peer.receive()) {
      if (!linked.peer.send("+OK\r\n")) return;
    }
  }};
  int withdrawn = 0;
  for (int round = 0; round < rounds; ++round) {
    Posted call;
    send(linked.link, call, "PING");
    const int moment = round % moments;
    for (int spins = moment; spins > 0 && call.times_over() == 0; --spins) std::this_thread::yield();
    if (moment == moments - 1) {
      ASSERT_TRUE(eventually(limit, [&] { return call.times_over() == 1; }));
    }
    if (linked.link.withdraw(call)) {
      ++withdrawn;
      EXPECT_EQ(call.times_over(), 0);
    } else {
      ASSERT_TRUE(eventually(limit, [&] { return call.times_over() == 1; }));
    }
  }
  EXPECT_GT(withdrawn, 0);
  EXPECT_LT(withdrawn, rounds);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  server.join();
}

// An answer that nobody waits for is as overdue as any other.
TEST(LinkReactor, TellsOfAnOverdueAnswer) {
  Linked linked{{.reply_timeout = 30ms}};
  const Stopwatch watch;
  Posted call;
  send(linked.link, call, "PING");
  ASSERT_TRUE(eventually(limit, [&] { return call.times_over() == 1; }));
  EXPECT_GE(watch.elapsed(), 30ms);
  EXPECT_EQ(call.state(), Call::State::lost);
  EXPECT_THAT(linked.link.failure().text, ::testing::HasSubstr("30 ms"));
}

// ---- what is left to be sent ----------------------------------------------------------------------------------------

/// More than a socket pair holds.
const std::string long_word(2'000'000, 'x');

/// As many as are woken together, and then leave what they send to the next reader.
constexpr int crowd = 10;

std::string some_answers(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += "+OK\r\n";
  return all;
}

// A reader who wants to send what was left to it may meet another thread that sends already. Those who come later do not count on
// the reader, which sleeps by then.
TEST(LinkReactor, NothingIsLeftToAReaderWhoSleeps) {
  HeldUpStream::Barriers barriers;
  Linked linked{{.wrap = [&](auto stream) { return std::make_unique<HeldUpStream>(std::move(stream), barriers); }}};
  Caller caller;
  Waiter reader{[&] { return linked.link.wait(caller, far(), {}); }};
  reader.until_asleep();
  Burst calls{crowd};
  for (BlockingCall& call : calls) send(linked.link, call, "CROWD");
  for (int i = 0; i < crowd; ++i) ASSERT_TRUE(linked.peer.receive());

  Posted first, second;
  barriers.writing.close();
  std::thread writer{[&] { send(linked.link, first, "FIRST"); }};
  ASSERT_TRUE(eventually(limit, [&] { return barriers.writing.holds_one(); }));
  linked.peer.send(some_answers(crowd));
  for (BlockingCall& call : calls) ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  reader.until_asleep();
  barriers.writing.open();
  writer.join();
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("FIRST")));
  send(linked.link, second, "SECOND");
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("SECOND")));
  linked.link.set(caller);
  EXPECT_EQ(reader.outcome(), Waited::done);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
}

// What is left to the reactor while it reads for a crowd it sends when it goes.
TEST(LinkReactor, SendsWhatWasLeftToIt) {
  HeldUpStream::Barriers barriers;
  Linked linked{{.wrap = [&](auto stream) { return std::make_unique<HeldUpStream>(std::move(stream), barriers); }}};
  Posted before, left;
  send(linked.link, before, "BEFORE");
  ASSERT_TRUE(linked.peer.receive());
  barriers.reading.close();
  linked.peer.send("+before\r\n");
  ASSERT_TRUE(eventually(limit, [&] { return barriers.reading.holds_one(); }));
  Burst calls{crowd};
  for (BlockingCall& call : calls) send(linked.link, call, "CROWD");
  for (int i = 0; i < crowd; ++i) ASSERT_TRUE(linked.peer.receive());
  linked.peer.send(some_answers(crowd));
  barriers.has_read.close();
  barriers.reading.open();
  ASSERT_TRUE(eventually(limit, [&] { return barriers.has_read.holds_one(); }));
  for (BlockingCall& call : calls) ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  send(linked.link, left, "LEFT");
  barriers.has_read.open();
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("LEFT")));
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
}

// The reactor may be called because something is to be read when a caller reads already. It goes on waiting for the peer to take
// the rest of what is to be sent.
TEST(LinkReactor, WhatCanBeReadDoesNotKeepItFromSending) {
  for (const bool wants_pushes : {false, true}) {
    SCOPED_TRACE(wants_pushes);
    Linked linked;
    Posted before;
    send(linked.link, before, "BEFORE");  // so it watches for the answer
    EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("BEFORE")));
    linked.link.want_pushes(wants_pushes);
    const std::array<std::string_view, 1> command{long_word};
    linked.link.send({{nullptr, command}});
    Caller caller;
    Waiter reader{[&] { return linked.link.wait(caller, far(), {}); }};
    reader.until_asleep();
    linked.peer.send("+before\r\n");
    ASSERT_TRUE(eventually(limit, [&] { return before.times_over() == 1; }));
    let_the_reactor_catch_up();
    EXPECT_TRUE(linked.peer.receive()) << "all of it";
    linked.link.set(caller);
    EXPECT_EQ(reader.outcome(), Waited::done);
  }
}

// The reverse: while it waits for the peer to take the rest, it reads what the last caller has left.
TEST(LinkReactor, WhatIsToBeSentDoesNotKeepItFromReading) {
  Linked linked;
  Caller caller;
  Waiter reader{[&] { return linked.link.wait(caller, far(), {}); }};
  reader.until_asleep();
  Posted before;
  send(linked.link, before, "BEFORE");
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("BEFORE")));
  const std::array<std::string_view, 1> command{long_word};
  linked.link.send({{nullptr, command}});
  linked.link.set(caller);
  EXPECT_EQ(reader.outcome(), Waited::done);
  linked.peer.send("+before\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return before.times_over() == 1; }));
}

// ---- pushes ---------------------------------------------------------------------------------------------------------

// With nobody else there, a push is handled as soon as it comes: each of many.
TEST(LinkReactor, DeliversPushesAtOnce) {
  std::atomic<int> pushes{0};
  Linked linked{{.on_push = [&](ReplyView) { ++pushes; }}};
  linked.link.want_pushes(true);
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 1; i <= 20; ++i) {
    const Stopwatch watch;
    linked.peer.send(push);
    ASSERT_TRUE(eventually(limit, [&] { return pushes == i; }));
    best = std::min(best, watch.elapsed());
  }
  EXPECT_LT(best, Link::push_pause / 2);
}

TEST(LinkReactor, NoticesTheEndWhilePushesAreWanted) {
  std::atomic<bool> ended{false};
  Linked linked{{.on_broken = [&](const Link&) { ended = true; }}};
  linked.link.want_pushes(true);
  linked.peer.close();
  EXPECT_TRUE(eventually(limit, [&] { return ended.load(); }));
  EXPECT_TRUE(linked.link.broken());
}

// Wanted while a caller reads, they are read when that caller goes.
TEST(LinkReactor, PushesAreReadWhenTheCallerGoes) {
  std::atomic<int> pushes{0};
  Linked linked{{.on_push = [&](ReplyView) { ++pushes; }}};
  Caller caller;
  Waiter waiter{[&] { return linked.link.wait(caller, far(), {}); }};
  waiter.until_asleep();
  linked.link.want_pushes(true);
  linked.peer.send(push);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 1; })) << "the caller reads it";
  linked.link.set(caller);
  EXPECT_EQ(waiter.outcome(), Waited::done);
  linked.peer.send(push);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 2; }));
}

// Nor are they forgotten when a caller came while the reactor read, and took over from it.
TEST(LinkReactor, PushesAreReadAfterACallerTookOver) {
  std::atomic<int> pushes{0};
  std::atomic<bool> asked{false};
  Linked linked{{.on_push = [&](ReplyView) {
    if (pushes++ == 0) {
      EXPECT_TRUE(eventually(limit, [&] { return asked.load(); }));
    }
  }}};
  linked.link.want_pushes(true);
  linked.peer.send(push);
  ASSERT_TRUE(eventually(limit, [&] { return pushes == 1; }));
  Request call;
  send(linked.link, call, "CALL");
  asked = true;
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre("CALL")));
  linked.peer.send("+OK\r\n");
  EXPECT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  linked.peer.send(push);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 2; }));
}

// A caller that goes from one round trip to the next reads its answers itself.
TEST(LinkReactor, KeepsAwayFromABusyConnection) {
  CountingStream::Counts counts;
  Linked linked{{.wrap = [&](auto stream) { return std::make_unique<CountingStream>(std::move(stream), counts); }}};
  std::thread server{[&] {
    while (linked.peer.receive()) {
      if (!linked.peer.send("+OK\r\n")) return;
    }
  }};
  linked.link.want_pushes(true);
  constexpr int round_trips = 5000;
  for (int i = 0; i < round_trips; ++i) {
    Request call;
    send(linked.link, call, "PING");
    ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  }
  // A caller whom the machine keeps from its work for a whole pause is helped; that is rare.
  EXPECT_LT(counts.elsewhere, round_trips / 50);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  server.join();
}

class LinkReactorOver : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Transports, LinkReactorOver, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Tcp" : "Unix"; });

// With callers that come and go, calls that nobody waits for, and pushes between, nothing is lost.
TEST_P(LinkReactorOver, CallersComeAndGo) {
  constexpr int threads = 4, round_trips = 1000;
  std::atomic<int> pushes{0};
  Linked linked{{.tcp = GetParam(), .on_push = [&](ReplyView) { ++pushes; }}};
  std::thread server{[&] {
    while (linked.peer.receive()) {
      if (!linked.peer.send("+OK\r\n") || !linked.peer.send(push)) return;
    }
  }};
  std::atomic<int> done{0};
  std::array<std::thread, threads> callers;
  for (std::thread& thread : callers) {
    thread = std::thread{[&] {
      for (int i = 0; i < round_trips; ++i) {
        linked.link.want_pushes(i % 2 == 0);
        Request call;
        Posted posted;
        send(linked.link, call, "CALL");
        send(linked.link, posted, "POSTED");
        const auto deadline = i % 7 == 0 ? std::chrono::steady_clock::now() + 20us : far();
        const Waited waited = linked.link.wait(call, deadline, {});
        if (waited == Waited::done || (waited == Waited::timed_out && i % 7 == 0)) ++done;
        if (!linked.link.withdraw(posted)) {
          ASSERT_TRUE(eventually(limit, [&] { return posted.times_over() == 1; }));
        }
      }
    }};
  }
  for (std::thread& thread : callers) thread.join();
  EXPECT_EQ(done, threads * round_trips);
  linked.link.want_pushes(true);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 2 * threads * round_trips; }));
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  server.join();
}

// The last owner lets a link go at any moment of what the reactor does there: when it is called for nothing, and when it looks later.
TEST(LinkReactor, EndsAtAnyMoment) {
  constexpr int rounds = 300;
  for (int round = 0; round < rounds; ++round) {
    auto linked = std::make_unique<Linked>();
    linked->link.want_pushes(true);
    {
      Caller caller;
      Waiter reader{[&] { return linked->link.wait(caller, far(), {}); }};
      reader.until_asleep();
      linked->peer.send(push);
      let_the_reactor_catch_up();
      linked->link.set(caller);
      EXPECT_EQ(reader.outcome(), Waited::done);
    }
    // Around the time of its look.
    const auto until = std::chrono::steady_clock::now() + Link::push_pause - 2ms + round * 10us;
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    linked.reset();
  }
}

}  // namespace
}  // namespace redismutex::net
