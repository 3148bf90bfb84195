// What the server sends unasked: a moment in which it refuses to do so changes nothing for later, and neither does one in which
// it ends a subscription by itself. Nobody else's subscription looks like one of our waiters.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "sentences.hpp"
#include "stopwatch.hpp"
#include "thrown.hpp"
#include "user_rights.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr long long long_before_ms = 5000;  // long before a sleepy waiter would look by itself

struct PushesTest : WithServer {
  PushesTest() { server.command({"CONFIG", "SET", "lua-time-limit", "10"}); }

  bool becomes(long long waiters) {
    return eventually(limit, [&] { return in_line(server, "key") == waiters; });
  }

  /// While `body` runs, the server is busy with somebody's script.
  template <class Body>
  void while_busy(Body body) {
    const std::jthread script{[&] { RawClient(server.socket_path()).command({"EVAL", "while true do end", "0"}); }};
    ASSERT_TRUE(eventually(limit, [&] { return server.command({"PING"}).text.starts_with("BUSY"); }));
    body();
    server.command({"SCRIPT", "KILL"});
    ASSERT_TRUE(eventually(limit, [&] { return server.command({"PING"}).text == "PONG"; }));
  }
};

// A wait ends while the server is busy, so its place can not be given up in that moment. It is as soon as the server listens: else
// the next release would hand the lock to nobody.
TEST_F(PushesTest, ABusyServerIsRidOfAPlaceAfterwards) {
  const Connection waiting{server.url()};
  const auto lock = RedisMutex{connection, sleepy}.acquire_lock("key");
  auto gives_up = std::async(std::launch::async, [&] {
    try {
      return RedisMutex{waiting, sleepy}.try_acquire_lock_for("key", 300ms).has_value();
    } catch (const ServerError&) {  // where it asked once more
      return false;
    }
  });
  ASSERT_TRUE(becomes(1));
  const Stopwatch busy;
  while_busy([&] {
    EXPECT_FALSE(gives_up.get());
    // The first attempt to give the place up is refused.
    EXPECT_TRUE(eventually(limit, [&] { return busy.elapsed_ms() > 600; }));
  });
  const Stopwatch since;
  EXPECT_TRUE(becomes(0));
  EXPECT_LT(since.elapsed_ms(), long_before_ms);
}

// A server that is busy for a moment refuses to subscribe, and to track keys. Afterwards a waiter is woken as before: by whoever
// hands the lock over, and by a stranger who deletes the key.
TEST_F(PushesTest, ABusyServerIsAskedAgain) {
  const auto log = std::make_shared<Sentences>();
  ConnectionOptions options = parse_url(server.url());
  options.log = written_to(log);
  const Connection waiting{options};
  const RedisMutex mutex{connection, sleepy}, next{waiting, sleepy};

  // It has met others at this key, so its first request on the next connection lines up.
  auto lock = mutex.acquire_lock("key");
  EXPECT_FALSE(next.try_acquire_lock_for("key", 50ms));
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  while_busy(
      [&] { EXPECT_EQ(thrown<ServerError>([&] { return next.try_acquire_lock_for("key", 1s); }).code(), "BUSY"); });

  auto handed = std::async(std::launch::async, [&] { return next.acquire_lock("key"); });
  ASSERT_TRUE(becomes(1));
  EXPECT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  lock.extend();  // which tells that somebody waits
  const Stopwatch hand_over;
  lock.release();
  lock = handed.get();
  EXPECT_LT(hand_over.elapsed_ms(), long_before_ms);
  lock.release();

  lock = mutex.acquire_lock("key");
  auto freed = std::async(std::launch::async, [&] { return next.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] == "1"; }));
  const Stopwatch deletion;
  server.command({"DEL", "key"});
  EXPECT_TRUE(freed.get());
  EXPECT_LT(deletion.elapsed_ms(), long_before_ms);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  EXPECT_THAT(log->all(), Each(Not(HasSubstr("ACL"))));
}

// Somebody looks on with PSUBSCRIBE. The waiters whose connections are gone are passed over all the same, at once.
TEST_F(PushesTest, AStrangerWhoListensToAllIsNoWaiter) {
  Contenders contenders(server, "key");
  RawClient stranger(server.socket_path());
  stranger.command({"PSUBSCRIBE", "*"});
  auto lock = RedisMutex{connection, sleepy}.acquire_lock("key");
  std::vector<Contenders::Contender> dead;
  for (const auto* name : {"one", "two", "three"}) {
    dead.push_back(contenders.enter(name, sleepy));
    ASSERT_TRUE(becomes(static_cast<long long>(dead.size())));
  }
  const auto alive = contenders.enter("alive", sleepy);
  ASSERT_TRUE(becomes(4));
  for (const auto& contender : dead) contender.process().kill(SIGKILL);
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  lock.extend();  // which tells that others wait
  const auto released = std::chrono::steady_clock::now();
  lock.release();
  const auto inside = contenders.next_inside();
  EXPECT_EQ(inside.who, "alive");
  EXPECT_LT(ms_between(released, inside.when), 900) << "a claim is a second";
  alive.leave();
  EXPECT_EQ(alive.process().wait(limit), exited(0));
  server.command({"DEL", "redismutex:{key}"});  // the dead would keep their places for some time
}

// The next in line is handed the lock and stands still. The one behind it looks only now and then; it is told when it may be its
// turn.
TEST_F(PushesTest, TheNewFirstInLineIsToldWhenItsTurnMayCome) {
  Contenders contenders(server, "key");
  auto lock = RedisMutex{connection, sleepy}.acquire_lock("key");
  const auto still = contenders.enter("still", sleepy);
  ASSERT_TRUE(becomes(1));
  const auto next = contenders.enter("next", sleepy);
  ASSERT_TRUE(becomes(2));
  still.process().pause();
  lock.extend();  // which tells that others wait
  const auto released = std::chrono::steady_clock::now();
  lock.release();
  const auto inside = contenders.next_inside();
  EXPECT_EQ(inside.who, "next");
  EXPECT_LT(ms_between(released, inside.when), long_before_ms);
  next.leave();
  EXPECT_EQ(next.process().wait(limit), exited(0));
  still.process().resume();
  EXPECT_EQ(contenders.next_inside().who, "still");
  still.leave();
  EXPECT_EQ(still.process().wait(limit), exited(0));
}

// A node of a cluster gives the channel's slot away, and so ends the subscription. The waiter looks, and subscribes anew as soon as
// it can.
TEST(Pushes, ASubscriptionThatTheServerEndsIsMadeAnew) {
  Server alone;
  if (!has_sharded_channels(alone)) return;  // then there is nothing that a server would end
  // One that nobody connects to. If another test has it, the server says so and does not start.
  const std::string bus = std::to_string(20'000 + ::getpid() % 10'000);
  Server server({.directives = {"cluster-enabled yes", "cluster-require-full-coverage no", "cluster-port " + bus}});
  server.command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
  ASSERT_TRUE(eventually(limit, [&] { return !server.command({"SET", "ready", "1"}).is_error(); }));
  server.command({"DEL", "ready"});

  const Connection connection{server.url()}, elsewhere{server.url()};
  const RedisMutex mutex{connection, sleepy};
  const RedisMutex next{elsewhere, {.block_time = limit, .delay = 50ms, .expiry = 2 * limit}};
  auto lock = mutex.acquire_lock("key");
  auto waits = std::async(std::launch::async, [&] { return next.acquire_lock("key").owns_lock(); });
  const auto channels = [&] { return server.command({"PUBSUB", "SHARDCHANNELS"}).elements; };
  ASSERT_TRUE(eventually(limit, [&] { return channels().size() == 1; }));
  const std::string channel = channels()[0].text;
  const std::string slot = server.command({"CLUSTER", "KEYSLOT", channel}).text;
  ASSERT_NE(slot, server.command({"CLUSTER", "KEYSLOT", "key"}).text);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));

  server.command({"CLUSTER", "DELSLOTS", slot});
  EXPECT_TRUE(channels().empty());
  server.command({"CLUSTER", "ADDSLOTS", slot});
  EXPECT_TRUE(eventually(limit, [&] { return channels().size() == 1 && channels()[0].text == channel; }));
  EXPECT_EQ(in_line(server, "key"), 1);
  lock.release();
  EXPECT_TRUE(waits.get());
}

}  // namespace
}  // namespace redismutex::testing
