// What goes wrong while some wait: holders and waiters die or stand still, connections are cut, the server forgets or stops.
// Whoever lives gets in within a bound, one at a time.

#include <signal.h>

#include <algorithm>
#include <future>
#include <thread>

#include "contender.hpp"
#include "stopwatch.hpp"
#include "support/exclusion_witness.hpp"
#include "support/proxy.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct QueueFaults : WithServer {
  Contenders contenders{server, "key"};
  const RedisMutex mutex{connection, patient};

  bool becomes(long long waiters) {
    return eventually(limit, [&] { return in_line(server, "key") == waiters; });
  }

  void let_leave(const Contenders::Contender& contender) {
    contender.leave();
    EXPECT_EQ(contender.process().wait(limit), exited(0));
    for (auto event = contenders.next(); event.what != Contenders::What::left; event = contenders.next()) {
    }
  }
};

// ---- processes ------------------------------------------------------------------------------------------------------

// kill -9 to the one inside: the next one is in when the lease ends.
TEST_F(QueueFaults, TheHolderIsKilled) {
  const auto best = best_ms(50, [&] {
    const auto holder = contenders.enter("holder", {.block_time = 250ms, .delay = 100ms, .expiry = 300ms});
    contenders.next_inside();
    const auto next = contenders.enter("next", sleepy);
    EXPECT_TRUE(becomes(1) || server.pttl("key") < 0);
    const auto ends_at = Clock::now() + std::chrono::milliseconds{server.pttl("key")};
    holder.process().kill(SIGKILL);
    const auto late = ms_between(ends_at, contenders.next_inside().when);
    let_leave(next);
    return late;
  });
  EXPECT_LE(best, 50);
  EXPECT_GE(best, -2) << "the server's clock is rounded";
}

// kill -9 to the next in line: its connection is gone, so the release passes it over.
TEST_F(QueueFaults, TheNextInLineIsKilled) {
  const auto best = best_ms(1500, [&] {
    auto lock = mutex.acquire_lock("key");
    const auto next = contenders.enter("next", sleepy);
    EXPECT_TRUE(becomes(1));
    const auto after = contenders.enter("after", sleepy);
    EXPECT_TRUE(becomes(2));
    next.process().kill(SIGKILL);
    EXPECT_EQ(next.process().wait(limit), killed_by(SIGKILL));
    const auto released_at = Clock::now();
    lock.release();
    const auto event = contenders.next_inside();
    EXPECT_EQ(event.who, "after");
    let_leave(after);
    return ms_between(released_at, event.when);
  });
  EXPECT_LE(best, 1500);
  server.command({"DEL", "redismutex:{key}"});  // the dead one's place, which would be passed over for a while
}

// The next in line stands still with its connection open, so it is handed the lock, and loses it with the claim. The one
// behind it is in soon after; and when the first one goes on it does not believe that it is inside.
TEST_F(QueueFaults, TheNextInLineStandsStill) {
  auto lock = mutex.acquire_lock("key");
  const auto next = contenders.enter("next", Options{.block_time = limit, .expiry = 2 * limit});
  ASSERT_TRUE(becomes(1));
  const auto after = contenders.enter("after", Options{.block_time = limit, .expiry = 2 * limit});
  ASSERT_TRUE(becomes(2));
  next.process().pause();
  const auto released_at = Clock::now();
  lock.release();
  const auto event = contenders.next_inside();
  EXPECT_EQ(event.who, "after");
  EXPECT_GE(ms_between(released_at, event.when), 999) << "the claim";
  EXPECT_LE(ms_between(released_at, event.when), 5000) << "1500 on a quiet machine";
  next.process().resume();
  EXPECT_TRUE(becomes(1)) << "it is in line again";
  let_leave(after);
  EXPECT_EQ(contenders.next_inside().who, "next");
  let_leave(next);
}

// ---- connections ----------------------------------------------------------------------------------------------------

// All connections are killed while the processes wait, again and again: they keep their places.
TEST_F(QueueFaults, AllConnectionsAreKilled) {
  auto lock = mutex.acquire_lock("key");
  const auto first = contenders.enter("first", sleepy);
  ASSERT_TRUE(becomes(1));
  const auto second = contenders.enter("second", sleepy);
  ASSERT_TRUE(becomes(2));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 3; }));
    server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    server.command({"CLIENT", "KILL", "TYPE", "pubsub"});
    // Each is back, listens to a channel, and has told the queue which. The holder's connection comes when it needs one.
    EXPECT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 2; }));
    connection.ping();
  }
  EXPECT_EQ(in_line(server, "key"), 2);
  const Stopwatch watch;
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "first");
  let_leave(first);
  EXPECT_EQ(contenders.next_inside().who, "second");
  let_leave(second);
  EXPECT_LT(watch.elapsed_ms(), sleepy.delay->count()) << "they were told";
}

// The lock is released while the one in line has no connection. It is in as soon as it is there again.
TEST_F(QueueFaults, ReleasedWhileTheConnectionIsCut) {
  Proxy proxy(server);
  const RedisMutex far{Connection{proxy.url()}, sleepy};
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return far.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(becomes(1));
  proxy.refuse();
  proxy.cut_all(Ending::rst);
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 1; }));
  lock.release();
  proxy.pass();
  const Stopwatch watch;
  EXPECT_TRUE(next.get());
  EXPECT_LT(watch.elapsed_ms(), sleepy.delay->count());
}

// The message of the grant is lost on its way: the waiter finds out when it looks by itself.
TEST_F(QueueFaults, TheMessageOfTheGrantIsLost) {
  Proxy proxy(server);
  const Connection far{proxy.url()};
  const RedisMutex waiting{far, {.block_time = limit, .delay = 100ms, .expiry = 2 * limit}};
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return waiting.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(becomes(1));
  proxy.swallow(Direction::replies);
  lock.release();
  EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 0 && server.exists("key"); })) << "granted";
  proxy.pass();
  proxy.cut_all(Ending::rst);  // a stream of which a part is lost does not go on
  EXPECT_TRUE(next.get());
}

// ---- the server -----------------------------------------------------------------------------------------------------

TEST_F(QueueFaults, TheScriptsAreForgotten) {
  auto lock = mutex.acquire_lock("key");
  const auto first = contenders.enter("first", sleepy);
  ASSERT_TRUE(becomes(1));
  const auto second = contenders.enter("second", sleepy);
  ASSERT_TRUE(becomes(2));
  server.command({"SCRIPT", "FLUSH"});
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "first");
  server.command({"SCRIPT", "FLUSH"});
  // The extension of its claim was sent before or after: either way the lease becomes a full one.
  EXPECT_TRUE(eventually(limit, [&] { return server.pttl("key") > 1000; }));
  let_leave(first);
  EXPECT_EQ(contenders.next_inside().who, "second");
  let_leave(second);
}

// The server does nothing for a while, then all that was asked of it.
TEST_F(QueueFaults, TheServerPauses) {
  auto lock = mutex.acquire_lock("key");
  const auto first = contenders.enter("first", {.block_time = limit, .delay = 50ms, .expiry = 2 * limit});
  ASSERT_TRUE(becomes(1));
  const auto second = contenders.enter("second", {.block_time = limit, .delay = 50ms, .expiry = 2 * limit});
  ASSERT_TRUE(becomes(2));
  const Stopwatch watch;
  server.command({"CLIENT", "PAUSE", "300"});
  lock.release();
  EXPECT_GE(watch.elapsed_ms(), 250);
  EXPECT_EQ(contenders.next_inside().who, "first");
  let_leave(first);
  EXPECT_EQ(contenders.next_inside().who, "second");
  let_leave(second);
}

// Everything is gone with the server, the lock too. Those who wait get in one after the other when it is there again.
TEST_F(QueueFaults, TheServerIsStartedAgainEmpty) {
  constexpr int waiters = 4;
  ExclusionWitness witness;
  Channel inside;
  auto lock = mutex.acquire_lock("key");
  std::vector<ChildProcess> children;
  for (int i = 0; i < waiters; ++i) {
    children.emplace_back([&] {
      ConnectionOptions patient_connection = parse_url(server.url());
      patient_connection.connect_timeout = limit;
      const RedisMutex own{Connection{patient_connection}, patient};
      const auto handed = own.acquire_lock("key");
      witness.enter();
      inside.send("inside");
      EXPECT_TRUE(eventually(limit, [&] { return server.pttl("key") > 1000; }));
      witness.leave();
      return 0;
    });
  }
  ASSERT_TRUE(becomes(waiters));
  server.kill();
  server.start();
  for (const auto& child : children) EXPECT_EQ(child.wait(2 * limit), exited(0));
  EXPECT_EQ(inside.drain().size(), waiters);
  EXPECT_EQ(witness.most_inside(), 1);
  connection.ping();  // on a new connection, so that the release below does not count as one whose answer was lost
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

}  // namespace
}  // namespace redismutex::testing
