// Many who wait for locks lose their connection in the same moment.

#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "stopwatch.hpp"
#include "support/loop.hpp"
#include "support/proxy.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct Storm : WithServer {
  static constexpr int many = 320;
  static constexpr Options unhurried{.block_time = 10 * limit, .delay = limit, .expiry = 20 * limit};

  Proxy proxy{server};
  Loop loop;
  std::stop_source stop;
  const AsyncMutex mutex{Connection{proxy.url()}, unhurried, loop.executor()};
  std::vector<Coroutine> waiting;

  static std::string key(int i) { return "key " + std::to_string(i); }
  static Coroutine wait(const AsyncMutex& mutex, std::string key, std::stop_token stop) try {
    const AsyncLock lock = co_await mutex.acquire_lock(std::move(key), std::move(stop));
  } catch (const LockCancelled&) {
  }

  /// Each for a lock that somebody else has.
  void wait_for_many() {
    for (int i = 0; i < many; ++i) {
      server.command({"SET", key(i), "somebody", "PX", "600000"});
      waiting.push_back(wait(mutex, key(i), stop.get_token()));
    }
    ASSERT_TRUE(eventually(limit, [&] { return reachable() == many; }));
  }

  /// How many waiters the server could wake at present.
  int reachable() {
    const auto channels = server.command({"PUBSUB", "SHARDCHANNELS"}).elements;
    if (channels.size() != 1) return 0;
    int count = 0;
    for (int i = 0; i < many; ++i) {
      for (const Reply& member : server.command({"ZRANGE", "redismutex:{" + key(i) + "}", "0", "-1"}).elements) {
        if (member.text.ends_with(channels.front().text)) ++count;
      }
    }
    return count;
  }

  long long questions() { return server.command_calls()["evalsha"]; }

  void TearDown() override {
    stop.request_stop();
    for (Coroutine& each : waiting) each.get();
    server.command({"FLUSHALL"});
    WithServer::TearDown();
  }
};

// Each asks on the next connection, but few at a time: an answer to the last of ten thousand could be so late that it breaks that one, too.
// Almost each has two answers to wait for, and there are at most 64 on their way; so many take a known number of round trips.
TEST_F(Storm, FewAskAtATimeOnTheNextConnection) {
  constexpr auto round_trip = 200ms;
  wait_for_many();
  const long long before = questions();
  proxy.delay(Direction::replies, round_trip);
  proxy.cut_all(Ending::rst);
  ASSERT_TRUE(eventually(limit, [&] { return questions() > before; }));
  const Stopwatch watch;
  ASSERT_TRUE(eventually(limit, [&] { return reachable() == many; }));
  constexpr int round_trips = 2 * many / 64 - 1;
  EXPECT_GE(watch.elapsed_ms(), (round_trips - 2) * round_trip.count());
  EXPECT_EQ(proxy.connections(), 2);
  const long long asked = questions() - before;
  EXPECT_LE(asked, 2 * many) << "each once by the name of the former channel, and once by its name";
  EXPECT_GE(asked, many) << "who asked late enough to know the name needed no other";
}

// Those whose turn to ask has not come are told of what ends their wait all the same.
TEST_F(Storm, AWaitForTheTurnCanBeCancelled) {
  wait_for_many();
  const long long before = questions();
  proxy.delay(Direction::replies, 500ms);
  proxy.cut_all(Ending::rst);
  ASSERT_TRUE(eventually(limit, [&] { return questions() > before; }));
  const Stopwatch watch;
  stop.request_stop();
  for (Coroutine& each : waiting) each.get();
  waiting.clear();
  EXPECT_LT(watch.elapsed_ms(), 1000);
  proxy.pass();
}

}  // namespace
}  // namespace redismutex::testing
