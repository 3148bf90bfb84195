// A Link at which a loop of the program reads, and what becomes of that when the loop does not turn.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <thread>

#include "net/link.hpp"
#include "support/eventually.hpp"
#include "unit/net/counting_stream.hpp"
#include "unit/net/peer.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::eventually;
using Waited = Link::Waited;

/// What a loop was asked for. It turns when the test says so.
struct FakeLoop {
  std::atomic<bool> wanted{true};
  std::atomic<std::uint64_t> armed{0};
  std::atomic<int> times_armed{0};

  struct Watch final : LoopWatch {
    explicit Watch(FakeLoop& whose) : loop{whose} {}
    ~Watch() override { loop.armed = 0; }
    bool arm(std::uint64_t number) noexcept override {
      if (!loop.wanted) return false;
      EXPECT_EQ(loop.armed, 0U) << "twice";
      loop.armed = number;
      ++loop.times_armed;
      return true;
    }
    void disarm() noexcept override { loop.armed = 0; }
    FakeLoop& loop;
  };
};

struct LinkInLoop : ::testing::Test {
  LinkInLoop() { linked.link.set_loop(std::make_unique<FakeLoop::Watch>(loop)); }

  /// The loop's turn, if there is something to read.
  bool turn() {
    pollfd polled{linked.socket, POLLIN, 0};
    if (loop.armed == 0 || ::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds{limit}.count())) <= 0)
      return false;
    linked.link.read_in_loop(loop.armed.exchange(0));
    return true;
  }

  bool is_over(const Posted& call) const {
    return eventually(limit, [&] { return call.times_over() == 1; });
  }

  FakeLoop loop;
  CountingStream::Counts reads;
  Linked linked{{.wrap = [this](auto stream) { return std::make_unique<CountingStream>(std::move(stream), reads); }}};
};

TEST_F(LinkInLoop, ReadsWhatNobodyWaitsFor) {
  for (int i = 1; i <= 200; ++i) {
    Posted call;
    send(linked.link, call, "PING");
    linked.peer.receive();
    linked.peer.send("+OK\r\n");
    ASSERT_TRUE(turn());
    EXPECT_EQ(call.times_over(), 1);
    EXPECT_EQ(loop.times_armed, i);
    EXPECT_EQ(loop.armed, 0U) << "nothing is awaited";
  }
  EXPECT_LT(reads.elsewhere, 100) << "the reactor looks now and then";
}

TEST_F(LinkInLoop, IsWatchedForAsLongAsAnswersAreMissing) {
  Posted one, two;
  send(linked.link, one, "ONE");
  send(linked.link, two, "TWO");
  linked.peer.send("+one\r\n");
  ASSERT_TRUE(turn());
  EXPECT_EQ(one.times_over(), 1);
  linked.peer.send("+two\r\n");
  ASSERT_TRUE(turn());
  EXPECT_EQ(two.times_over(), 1);
}

TEST_F(LinkInLoop, ThatDoesNotTurnIsReadByTheReactor) {
  Posted call;
  send(linked.link, call, "PING");
  linked.peer.send("+OK\r\n");
  ASSERT_TRUE(is_over(call));
  EXPECT_EQ(reads.here, 0);
  EXPECT_NE(loop.armed, 0U) << "it was not called off";
}

// What comes then is not late, too.
TEST_F(LinkInLoop, ThatDoesNotTurnIsNotWaitedForTwice) {
  Posted first;
  send(linked.link, first, "FIRST");
  linked.peer.send("+OK\r\n");
  ASSERT_TRUE(is_over(first));
  const auto before = std::chrono::steady_clock::now();
  constexpr int many = 100;
  for (int i = 0; i < many; ++i) {
    Posted call;
    send(linked.link, call, "PING");
    linked.peer.send("+OK\r\n");
    ASSERT_TRUE(is_over(call));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, many * Link::push_pause * 2 / 3);
  EXPECT_EQ(loop.times_armed, 1);
}

TEST_F(LinkInLoop, ThatTurnsAgainReadsAgain) {
  Posted first, second;
  send(linked.link, first, "FIRST");
  linked.peer.send("+OK\r\n");
  ASSERT_TRUE(is_over(first));
  linked.link.read_in_loop(loop.armed.exchange(0));
  send(linked.link, second, "SECOND");
  EXPECT_NE(loop.armed, 0U);
  linked.peer.send("+OK\r\n");
  ASSERT_TRUE(turn());
  EXPECT_EQ(second.times_over(), 1);
}

TEST_F(LinkInLoop, WhoseCallWasCalledOffReadsNothing) {
  Posted call;
  send(linked.link, call, "PING");
  const std::uint64_t number = loop.armed;
  loop.wanted = false;
  linked.link.call_off_loop();
  EXPECT_EQ(loop.armed, 0U);
  linked.link.read_in_loop(number);
  EXPECT_EQ(reads.here, 0);
  linked.peer.send("+OK\r\n");
  EXPECT_TRUE(is_over(call)) << "the reactor reads";
}

TEST_F(LinkInLoop, BesideACallerThatReads) {
  Posted before, after;
  send(linked.link, before, "BEFORE");
  Request call;
  send(linked.link, call, "CALL");
  linked.peer.send("+before\r\n+call\r\n");
  ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
  EXPECT_EQ(before.times_over(), 1);
  send(linked.link, after, "AFTER");
  linked.peer.send("+after\r\n");
  ASSERT_TRUE(turn());
  EXPECT_EQ(after.times_over(), 1);
}

// It waits for nothing but pushes, and is as quick with them.
TEST_F(LinkInLoop, ReadsPushes) {
  linked.link.want_pushes(true);
  EXPECT_NE(loop.armed, 0U);
  linked.peer.send(">2\r\n+message\r\n+hello\r\n");
  ASSERT_TRUE(turn());
  EXPECT_NE(loop.armed, 0U) << "there may be more";
}

// A loop that is idle costs no looking.
TEST_F(LinkInLoop, TheReactorDoesNotLookWhileNothingComes) {
  linked.link.want_pushes(true);
  std::this_thread::sleep_for(5 * Link::push_pause);
  EXPECT_EQ(reads.here + reads.elsewhere, 0);
  linked.peer.send(">2\r\n+message\r\n+hello\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return reads.elsewhere > 0; })) << "it watches, though";
}

TEST_F(LinkInLoop, ThatBreaksIsNotWatchedAnyMore) {
  Posted call;
  send(linked.link, call, "LOST");
  linked.peer.close();
  ASSERT_TRUE(turn());
  EXPECT_EQ(call.state(), Call::State::lost);
  Posted late;
  send(linked.link, late, "LATE");
  EXPECT_EQ(loop.armed, 0U);
}

}  // namespace
}  // namespace redismutex::net
