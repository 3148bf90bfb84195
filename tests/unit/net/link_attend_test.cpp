// A background thread at a Link reads what comes while no caller does, and keeps out of the callers' way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "net/link.hpp"
#include "support/eventually.hpp"
#include "unit/net/peer.hpp"
#include "unit/net/waiter.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::eventually;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::Optional;
using Waited = Link::Waited;

/// A thread that attends a link, until the end of this object.
class Attendant {
 public:
  explicit Attendant(Linked& linked, Deadline deadline = far())
      : linked_{linked}, waiter_{[this, deadline] { return linked_.link.attend(end_, deadline); }} {
    waiter_.until_asleep();
  }
  ~Attendant() { linked_.link.set(end_); }

  void end() { linked_.link.set(end_); }
  Waited outcome() { return waiter_.outcome(); }
  pid_t thread_id() const { return waiter_.thread_id(); }
  void until_asleep() const { waiter_.until_asleep(); }

  /// How often it has gone to sleep so far.
  long sleeps() const {
    std::ifstream file{"/proc/self/task/" + std::to_string(thread_id()) + "/status"};
    for (std::string word; file >> word;) {
      long count = 0;
      if (word == "voluntary_ctxt_switches:" && file >> count) return count;
    }
    ADD_FAILURE() << "the thread has ended";
    return 0;
  }

 private:
  Linked& linked_;
  Event end_;
  Waiter waiter_;
};

/// Notes who reads.
class Watched final : public Stream {
 public:
  Watched(std::unique_ptr<Stream> stream, std::atomic<pid_t>& whom, std::atomic<int>& reads)
      : stream_{std::move(stream)}, whom_{whom}, reads_{reads} {}

  Transfer read_now(std::span<char> buffer) override { return counted(stream_->read_now(buffer)); }
  Transfer read_blocking(std::span<char> buffer) override { return counted(stream_->read_blocking(buffer)); }
  bool has_buffered() override { return stream_->has_buffered(); }
  Transfer write_now(std::string_view bytes) override { return stream_->write_now(bytes); }
  void shut_down() noexcept override { stream_->shut_down(); }
  int fd() const noexcept override { return stream_->fd(); }

 private:
  Transfer counted(Transfer read) {
    if (read.status == Status::ok && whom_ == ::gettid()) ++reads_;
    return read;
  }

  std::unique_ptr<Stream> stream_;
  std::atomic<pid_t>& whom_;
  std::atomic<int>& reads_;
};

/// Answers each command with its number.
void answer_all(Peer& peer) {
  for (int count = 0; peer.receive();) {
    if (!peer.send(":" + std::to_string(count++) + "\r\n")) return;
  }
}

// ---- reading ----

// With nobody else there, a push is handled as soon as it comes: each of many.
TEST(LinkAttend, DeliversPushesAtOnce) {
  std::atomic<int> pushes{0};
  Linked linked{{.on_push = [&](ReplyView) { ++pushes; }}};
  const Attendant attendant{linked};
  auto best = steady_clock::duration::max();
  for (int i = 1; i <= 20; ++i) {
    const Stopwatch watch;
    linked.peer.send(push);
    while (pushes < i && watch.elapsed() < limit) std::this_thread::yield();
    ASSERT_EQ(pushes, i);
    best = std::min(best, watch.elapsed());
  }
  EXPECT_LT(best, Link::attendance_pause / 2);
}

// A call that nobody waits for gets its reply.
TEST(LinkAttend, CompletesCallsThatNobodyWaitsFor) {
  Linked linked;
  const Attendant attendant{linked};
  Call call;
  send(linked.link, call, "PING");
  linked.peer.send("+OK\r\n");
  EXPECT_TRUE(eventually(limit, [&] { return linked.link.has_reply(call); }));
}

// What the peer did not take goes out when it does.
TEST(LinkAttend, SendsTheRest) {
  const std::string long_word(2'000'000, 'x');
  Linked linked;
  const Attendant attendant{linked};
  const std::array<std::string_view, 1> command{long_word};
  linked.link.send({{nullptr, command}});
  EXPECT_THAT(linked.peer.receive(), Optional(ElementsAre(long_word)));
}

// ---- the end ----

TEST(LinkAttend, EndsWhenItIsTold) {
  Linked linked;
  Attendant attendant{linked};
  const Stopwatch watch;
  attendant.end();
  EXPECT_EQ(attendant.outcome(), Waited::done);
  EXPECT_LT(watch.elapsed(), promptly);

  Event told_before;
  linked.link.set(told_before);
  EXPECT_EQ(linked.link.attend(told_before, far()), Waited::done);
}

// A push handler may be the one who tells it: its own thread.
TEST(LinkAttend, EndsWhenAPushSaysSo) {
  Event end;
  Link* link = nullptr;
  Linked linked{{.on_push = [&](ReplyView) { link->set(end); }}};
  link = &linked.link;
  linked.peer.send(push);
  EXPECT_EQ(linked.link.attend(end, far()), Waited::done);
}

TEST(LinkAttend, EndsAtItsDeadline) {
  Linked linked;
  Event end;
  const Stopwatch watch;
  EXPECT_EQ(linked.link.attend(end, steady_clock::now() + 5ms), Waited::timed_out);
  EXPECT_GE(watch.elapsed(), 5ms);
  EXPECT_LT(watch.elapsed(), promptly);
}

// It notices by itself that the server has gone.
TEST(LinkAttend, EndsWithTheLink) {
  Linked linked;
  Attendant attendant{linked};
  linked.peer.close();
  EXPECT_EQ(attendant.outcome(), Waited::broken);
  EXPECT_TRUE(linked.link.broken());
  Event end;
  EXPECT_EQ(linked.link.attend(end, far()), Waited::broken);
}

// While a caller reads for long, and it stands aside without a limit: told, at its deadline, and with the link.
TEST(LinkAttend, EndsWhileItStandsAside) {
  for (const bool breaks : {false, true}) {
    Linked linked;
    Event never;
    Waiter caller{[&] { return linked.link.wait(never, far(), {}); }};
    caller.until_asleep();
    Event end;
    EXPECT_EQ(linked.link.attend(end, steady_clock::now() + 5 * Link::attendance_pause), Waited::timed_out);
    Attendant attendant{linked};
    const Stopwatch watch;
    if (breaks) {
      linked.link.fail({Failure::Kind::unreachable, "on purpose"});
    } else {
      attendant.end();
    }
    EXPECT_EQ(attendant.outcome(), breaks ? Waited::broken : Waited::done);
    EXPECT_LT(watch.elapsed(), promptly);
    linked.link.set(never);
  }
}

// The event that ends it serves for one link after the other, as the links break.
TEST(LinkAttend, TheNextLinkWithTheSameEvent) {
  Event end;
  Linked broken;
  Event never;
  Waiter caller{[&] { return broken.link.wait(never, far(), {}); }};
  caller.until_asleep();
  Waiter attendant{[&] { return broken.link.attend(end, far()); }};
  attendant.until_asleep();
  broken.link.fail({Failure::Kind::unreachable, "on purpose"});
  EXPECT_EQ(attendant.outcome(), Waited::broken);
  EXPECT_EQ(caller.outcome(), Waited::broken);

  Linked next;
  Waiter next_caller{[&] { return next.link.wait(never, far(), {}); }};
  next_caller.until_asleep();
  EXPECT_EQ(next.link.attend(end, steady_clock::now() + 20ms), Waited::timed_out);
  next.link.set(never);
  EXPECT_EQ(next_caller.outcome(), Waited::done);
}

// ---- callers first ----

// A caller that goes from one round trip to the next reads its answers itself, and wakes the attendant about a hundred
// times a second.
TEST(LinkAttend, KeepsAwayFromABusyConnection) {
  std::atomic<pid_t> whom{0};
  std::atomic<int> reads{0};
  Linked linked{{.wrap = [&](auto stream) { return std::make_unique<Watched>(std::move(stream), whom, reads); }}};
  std::thread server{[&] { answer_all(linked.peer); }};
  constexpr int round_trips = 5000;
  {
    const Attendant attendant{linked};
    whom = attendant.thread_id();
    const long before = attendant.sleeps();
    const Stopwatch watch;
    for (int i = 0; i < round_trips; ++i) {
      Call call;
      send(linked.link, call, "PING");
      ASSERT_EQ(linked.link.wait(call, far(), {}), Waited::done);
      ASSERT_EQ(call.reply().integer(), i);
    }
    // For each pause a sleep beside the socket and one at it, or a few: what wakes it may be gone when it looks.
    EXPECT_LE(attendant.sleeps() - before, 5 * (watch.elapsed() / Link::attendance_pause) + round_trips / 50);
  }
  // Whom the machine keeps from its work for a whole pause after sending is helped; that is rare.
  EXPECT_LT(reads, round_trips / 50);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  server.join();
}

// While one caller reads for long, it does not wake at all, and is back when that caller goes.
TEST(LinkAttend, SleepsWhileACallerReadsForLong) {
  std::atomic<int> pushes{0};
  Linked linked{{.on_push = [&](ReplyView) { ++pushes; }}};
  Event event;
  Waiter caller{[&] { return linked.link.wait(event, far(), {}); }};
  caller.until_asleep();
  const Attendant attendant{linked};
  long before = 0;
  EXPECT_TRUE(eventually(limit, [&] {
    const Stopwatch watch;
    before = attendant.sleeps();
    while (watch.elapsed() < 5 * Link::attendance_pause) std::this_thread::yield();
    return attendant.sleeps() == before;
  }));
  linked.peer.send(push);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 1; }));
  EXPECT_EQ(attendant.sleeps(), before) << "the caller has read it";

  linked.link.set(event);
  EXPECT_EQ(caller.outcome(), Waited::done);
  linked.peer.send(push);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == 2; }));
}

// With callers that come and go, pushes between, and an attendant that is there or not, nothing is lost.
TEST(LinkAttend, CallersComeAndGo) {
  constexpr int threads = 4, round_trips = 1000;
  std::atomic<int> pushes{0};
  std::atomic<int> pushed{0};
  Linked linked{{.on_push = [&](ReplyView) { ++pushes; }}};
  std::thread server{[&] {
    while (linked.peer.receive()) {
      if (!linked.peer.send("+OK\r\n")) return;
      if (linked.peer.send(push)) ++pushed;
    }
  }};
  std::thread attending{[&] {
    Event end;
    while (linked.link.attend(end, steady_clock::now() + 1ms) == Waited::timed_out) continue;
  }};
  std::atomic<int> done{0};
  std::array<std::thread, threads> callers;
  for (std::thread& caller : callers) {
    caller = std::thread{[&] {
      for (int i = 0; i < round_trips; ++i) {
        Call call;
        send(linked.link, call, "PING");
        if (linked.link.wait(call, far(), {}) == Waited::done) ++done;
      }
    }};
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, threads * round_trips);
  EXPECT_TRUE(eventually(limit, [&] { return pushes == threads * round_trips; }));
  EXPECT_EQ(pushed, threads * round_trips);
  linked.link.fail({Failure::Kind::unreachable, "the test is over"});
  attending.join();
  server.join();
}

}  // namespace
}  // namespace redismutex::net
