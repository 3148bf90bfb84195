// The queue of those who wait for a lock: who is in it, who is next, and what it costs the server.

#include <atomic>
#include <future>
#include <list>
#include <set>
#include <thread>

#include "contender.hpp"
#include "stopwatch.hpp"
#include "support/exclusion_witness.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Queue : WithServer {
  const RedisMutex mutex{connection, patient};

  bool becomes(long long waiters, const std::string& key = "key") {
    return eventually(limit, [&] { return in_line(server, key) == waiters; });
  }

  /// One who waits over a connection of its own, as another process would, and gives up the lock at once.
  std::future<bool> waiter(const Options& options = patient) {
    return std::async(std::launch::async, [url = server.url(), options] {
      return RedisMutex{Connection{url}, options}.try_acquire_lock_for("key", *options.block_time).has_value();
    });
  }
};

// ---- order ----------------------------------------------------------------------------------------------------------

// Processes line up one after the other, and get in one after the other.
TEST_F(Queue, ProcessesAreServedInTheOrderOfTheirArrival) {
  Contenders contenders(server, "key");
  auto lock = mutex.acquire_lock("key");
  std::list<Contenders::Contender> line;
  for (int i = 0; i < 6; ++i) {
    line.push_back(contenders.enter(std::to_string(i)));
    ASSERT_TRUE(becomes(i + 1));
  }
  lock.release();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(contenders.next_inside().who, std::to_string(i));
    line.front().leave();
    EXPECT_EQ(line.front().process().wait(limit), exited(0));
    line.pop_front();
  }
}

// Who gives up makes room, and the order of the others stays.
TEST_F(Queue, WhoGivesUpLeavesTheLine) {
  Contenders contenders(server, "key");
  auto lock = mutex.acquire_lock("key");
  const auto first = contenders.enter("first");
  ASSERT_TRUE(becomes(1));
  const auto impatient = contenders.enter("impatient", {.block_time = 200ms, .delay = 100ms, .expiry = 2 * limit});
  ASSERT_TRUE(becomes(2));
  const auto last = contenders.enter("last");
  EXPECT_EQ(impatient.process().wait(limit), exited(99)) << "BlockTimeExceedError";
  EXPECT_TRUE(becomes(2));
  lock.release();
  EXPECT_EQ(contenders.next_inside().who, "first");
  first.leave();
  EXPECT_EQ(contenders.next_inside().who, "last");
  last.leave();
  EXPECT_EQ(last.process().wait(limit), exited(0));
}

// While somebody waits, the key is never free: neither our own newcomers nor those of the SET NX pattern get in between,
// however often they try. Who is inside leaves when another one is in line.
TEST_F(Queue, NewcomersCannotBarge) {
  constexpr int turn_takers = 3, turns = 60;
  std::atomic<int> barged = 0;
  std::atomic<int> tried = 0;
  std::atomic<bool> over = false;
  auto first = mutex.acquire_lock("key");
  std::vector<std::jthread> takers;
  for (int i = 0; i < turn_takers; ++i) {
    takers.emplace_back([&] {
      const RedisMutex own{Connection{server.url()}, patient};
      for (int n = 0; n < turns && !over; ++n) {
        const auto lock = own.acquire_lock("key");
        if (n == turns - 1) over = true;
        EXPECT_TRUE(eventually(limit, [&] { return over || in_line(server, "key") > 0; }));
      }
    });
  }
  std::jthread barging([&] {
    const RedisMutex newcomer{Connection{server.url()}, non_blocking};
    RawClient plain(server.socket_path());
    while (!over) {
      if (const auto lock = newcomer.try_acquire_lock("key"); lock && !over) ++barged;
      if (!plain.command({"SET", "key", "plain", "NX", "PX", "60000"}).is_nil()) {
        if (!over) ++barged;
        plain.command({"DEL", "key"});
      }
      ++tried;
    }
  });
  ASSERT_TRUE(becomes(turn_takers));
  first.extend();  // which tells that others wait
  first.release();
  takers.clear();
  barging.join();
  EXPECT_EQ(barged, 0);
  EXPECT_GT(tried, 0);
}

// ---- who is not in it -----------------------------------------------------------------------------------------------

TEST_F(Queue, OneAttemptNeverLinesUp) {
  const auto lock = mutex.acquire_lock("key");
  const RedisMutex fencing{connection, {.blocking = false, .expiry = 2 * limit, .fencing = true}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(mutex.try_acquire_lock("key"));
    EXPECT_FALSE(fencing.try_acquire_lock("key"));
    thrown<MutexLockError>([&] { return fencing.acquire_lock("key"); });
  }
  EXPECT_EQ(server.keys(), std::vector<std::string>{"key"});
}

// A process has one place, however many of its threads wait; with local_handoffs = 0 each thread has its own.
TEST_F(Queue, ThreadsOfAProcessShareAPlaceUnlessTheyAreToldNotTo) {
  constexpr int threads = 4;
  Options apart = patient;
  apart.local_handoffs = 0;
  const Connection other{server.url()};
  auto lock = mutex.acquire_lock("key");
  std::vector<std::future<void>> waiters;
  const auto wait = [&](const Options& options) {
    for (int i = 0; i < threads; ++i) {
      waiters.push_back(std::async(std::launch::async, [&, options] {
        RedisMutex{other, options}.acquire_lock("key").release();
      }));
    }
  };
  wait(apart);
  EXPECT_TRUE(becomes(threads));
  wait(patient);
  EXPECT_TRUE(becomes(threads + 1));
  lock.release();
  for (auto& done : waiters) done.get();
}

// Threads that do not share a place are served in the order of their arrival, too.
TEST_F(Queue, WithoutLocalHandoffsThreadsAreServedInOrder) {
  constexpr int threads = 5;
  Options apart = patient;
  apart.local_handoffs = 0;
  const RedisMutex own{connection, apart};
  auto lock = own.acquire_lock("key");
  std::vector<int> order;
  std::vector<std::future<void>> waiters;
  for (int i = 0; i < threads; ++i) {
    waiters.push_back(std::async(std::launch::async, [&, i] {
      const auto inside = own.acquire_lock("key");
      order.push_back(i);
    }));
    ASSERT_TRUE(becomes(i + 1));
  }
  lock.release();
  for (auto& done : waiters) done.get();
  EXPECT_THAT(order, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

// ---- bounds ---------------------------------------------------------------------------------------------------------

// No more than max_waiters: who comes then is told at once, and may come when there is room again.
TEST_F(Queue, IsBounded) {
  Options bounded = patient;
  bounded.max_waiters = 2;
  auto lock = mutex.acquire_lock("key");
  auto first = waiter(bounded);
  ASSERT_TRUE(becomes(1));
  auto second = waiter({.block_time = 300ms, .delay = 100ms, .expiry = 2 * limit, .max_waiters = 2});
  ASSERT_TRUE(becomes(2));
  const Connection other{server.url()};
  const auto error = thrown<MutexLockError>([&] { return RedisMutex{other, bounded}.acquire_lock("key"); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("max_waiters"), HasSubstr("2"), HasSubstr("key")));
  EXPECT_FALSE(second.get());
  ASSERT_TRUE(becomes(1));
  auto third = waiter(bounded);
  ASSERT_TRUE(becomes(2));
  lock.release();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(third.get());
}

// Those who gave up, and those who got in and left, leave nothing behind, on the server or in this process's channel.
TEST_F(Queue, NothingGrowsWithThePast) {
  auto lock = mutex.acquire_lock("key");
  auto stays = waiter();
  ASSERT_TRUE(becomes(1));
  const auto size = [&] { return server.command({"ZCARD", "redismutex:{key}"}).integer; };
  const auto before = size();
  const auto channels = [&] {
    std::size_t count = 0;
    for (const auto* kind : {"CHANNELS", "SHARDCHANNELS"}) {
      count += server.command({"PUBSUB", kind, "redismutex:*"}).elements.size();
    }
    return count;
  };
  // On a busy machine it may have no answer by then, and says so.
  const auto gives_up = [](const RedisMutex& theirs) {
    try {
      return !theirs.try_acquire_lock_for("key", 50ms);
    } catch (const ConnectionError&) {
      return true;
    }
  };
  {
    const Connection shared{server.url()};
    Options apart{.block_time = 50ms, .delay = 20ms, .expiry = 2 * limit, .local_handoffs = 0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 20; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 10; ++n) EXPECT_TRUE(gives_up(RedisMutex(shared, apart)));
      });
    }
    threads.clear();
    EXPECT_TRUE(becomes(1));
    // Each connection has one channel, however often its threads have waited.
    EXPECT_EQ(channels(), 2);
  }
  EXPECT_EQ(size(), before);
  EXPECT_TRUE(eventually(limit, [&] { return channels() == 1; }));
  lock.release();
  EXPECT_TRUE(stays.get());
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
  EXPECT_TRUE(eventually(limit, [&] { return channels() == 0; }));
}

// Waiting costs each waiter one command every `delay`, and the release then wakes just one.
TEST_F(Queue, WaitingIsCheap) {
  constexpr int waiters = 20;
  constexpr auto delay = 200ms;
  auto lock = mutex.acquire_lock("key");
  std::vector<std::future<bool>> line;
  for (int i = 0; i < waiters; ++i) {
    line.push_back(waiter({.block_time = limit, .delay = delay, .expiry = 2 * limit}));
  }
  ASSERT_TRUE(becomes(waiters));
  const auto commands = [&] { return server.command_calls()["evalsha"]; };
  const auto messages = [&] { return server.command_calls()["publish"] + server.command_calls()["spublish"]; };
  // The first of them has begun to watch the key, for which it asks once more.
  ASSERT_TRUE(eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] == "1"; }));
  const Stopwatch watch;
  const auto before = commands();
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() >= 5 * delay.count(); }));
  const auto sent = commands() - before;
  EXPECT_LE(sent, waiters * (watch.elapsed_ms() / delay.count() + 1));
  EXPECT_GE(sent, waiters) << "the safety net is there";

  EXPECT_EQ(messages(), 0);
  lock.extend();  // which tells that somebody waits
  lock.release();
  for (auto& done : line) EXPECT_TRUE(done.get());
  EXPECT_EQ(messages(), waiters);
}

}  // namespace
}  // namespace redismutex::testing
