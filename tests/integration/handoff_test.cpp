// A release hands the lock over: to the next in line at the server, and from thread to thread within a process.

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "monitor.hpp"
#include "stopwatch.hpp"
#include "support/descriptors.hpp"
#include "support/exclusion_witness.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Work inside, of about that length.
void work_for(std::chrono::microseconds duration) {
  const auto end = Clock::now() + duration;
  while (Clock::now() < end) std::this_thread::yield();
}

struct HandOff : WithServer {
  const Connection elsewhere{server.url()};  // as another process
  const RedisMutex mutex{connection, sleepy};
  const RedisMutex other{elsewhere, sleepy};

  bool becomes(long long waiters) {
    return eventually(limit, [&] { return in_line(server, "key") == waiters; });
  }
};

// ---- at the server --------------------------------------------------------------------------------------------------

// Whoever leaves it locked at once has not had its full lease yet.
TEST_F(HandOff, ALockThatIsLeftAtOnceStandsForItsWholeLease) {
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { other.acquire_lock("key").leave(); });
  ASSERT_TRUE(becomes(1));
  lock.extend();  // which tells that somebody waits
  lock.release();
  next.get();
  EXPECT_GT(server.pttl("key"), 1000);
  server.command({"DEL", "key"});
}

// When the release has returned, the next one is the owner already, with a short lease until it shows that it is alive.
TEST_F(HandOff, ThereIsANewOwnerBeforeTheOldOneKnowsThatItIsNone) {
  Contenders contenders(server, "key");
  auto lock = mutex.acquire_lock("key");
  const auto next = contenders.enter("next", sleepy);
  ASSERT_TRUE(becomes(1));
  next.process().pause();
  lock.extend();  // which tells that somebody waits: so it is not released by a command that knows no line
  const auto old_owner = lock.value();
  lock.release();
  const auto new_owner = server.get("key");
  ASSERT_TRUE(new_owner);
  EXPECT_NE(new_owner, old_owner);
  EXPECT_LE(server.pttl("key"), 1000);
  EXPECT_EQ(in_line(server, "key"), 0);
  next.process().resume();
  contenders.next_inside();
  EXPECT_TRUE(eventually(limit, [&] { return server.pttl("key") > 1000; })) << "it took its full lease";
  next.leave();
  EXPECT_EQ(next.process().wait(limit), exited(0));
}

// The lease of whoever was handed the lock grows from the claim to the full one, without anybody's asking.
TEST_F(HandOff, TheFullLeaseComesByItself) {
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return other.acquire_lock("key"); });
  ASSERT_TRUE(becomes(1));
  lock.release();
  const auto handed = next.get();
  EXPECT_TRUE(eventually(limit, [&] { return handed.valid_for() > *sleepy.expiry - limit; }));
}

// That takes no thread of its own: the first turn of a process is not to wait until one has started.
TEST_F(HandOff, WhoIsHandedTheLockHasNoThreadToStart) {
  auto lock = mutex.acquire_lock("key");
  std::thread{[] {}}.join();  // with the first one the thread sanitizer starts one of its own
  const long before = thread_count();
  auto next = std::async(std::launch::async, [&] {
    const auto handed = other.acquire_lock("key");
    return thread_count();
  });
  EXPECT_TRUE(becomes(1));
  EXPECT_EQ(thread_count(), before + 1) << "the waiter's";
  lock.release();
  EXPECT_EQ(next.get(), before + 1);
}

// Whoever wants to know at once how long the lock lasts is told of the full lease.
TEST_F(HandOff, TheFullLeaseComesWhenItIsAskedFor) {
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] {
    const auto handed = other.acquire_lock("key");
    return handed.valid_for();
  });
  ASSERT_TRUE(becomes(1));
  lock.release();
  EXPECT_GT(next.get(), *sleepy.expiry - limit);
}

// Nor does it wait for what the library does in the background meanwhile, such as to tell a log that takes its time.
TEST_F(HandOff, TheFullLeaseWaitsForNobody) {
  Server unsafe({.directives = {"maxmemory 100mb", "maxmemory-policy allkeys-lru"}});
  std::promise<void> told, go_on;
  const std::shared_future<void> gate = go_on.get_future().share();
  ConnectionOptions options = parse_url(unsafe.url());
  options.log = [&, gate, once = std::make_shared<std::once_flag>()](std::string_view) {
    std::call_once(*once, [&] { told.set_value(); });
    gate.wait();
  };
  const RedisMutex talkative{Connection{options}, sleepy};
  talkative.acquire_lock("other").release();
  told.get_future().wait();

  auto lock = RedisMutex{Connection{unsafe.url()}, sleepy}.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return talkative.acquire_lock("key"); });
  EXPECT_TRUE(eventually(limit, [&] { return in_line(unsafe, "key") == 1; }));
  lock.release();
  const auto handed = next.get();
  EXPECT_TRUE(eventually(2s, [&] { return unsafe.pttl("key") > 1000; }));
  go_on.set_value();
}

// A turn costs three commands of its client: one to line up, and to release a PING that has the next one woken before the
// answer comes. Whoever was not known to be contended, as the first one here, leaves that out; and only who holds on for
// longer than this one asks for the full lease.
TEST_F(HandOff, ATurnCostsThreeCommands) {
  Server with_tcp({.tcp = true});
  const RedisMutex one{Connection{with_tcp.url()}, sleepy};
  const RedisMutex two{Connection{with_tcp.url()}, sleepy};
  two.acquire_lock("warm up").release();
  const auto deletion = deletion_of(with_tcp);
  const auto commands = [&] {
    auto lock = one.acquire_lock("key");
    Monitor monitor(with_tcp);
    auto visit = std::async(std::launch::async, [&] {
      auto handed = two.acquire_lock("key");
      work_for(20ms);
      handed.release();
    });
    EXPECT_TRUE(eventually(limit, [&] { return in_line(with_tcp, "key") == 1; }));
    lock.release();
    visit.get();
    auto names = monitor.commands();
    names.erase(std::remove(names.begin(), names.end(), "ZCARD"), names.end());  // ours, to see how far it is
    return names;
  };
  std::vector<std::string> expected{"EVALSHA", "EVALSHA", "PING", "EVALSHA"};
  if (deletion) {
    // The first one deletes the key by that, finds that there is a line, and has the lock given to the first in it.
    expected = {"EVALSHA", *deletion, "EXISTS", "EVALSHA", "PING", "EVALSHA"};
  }
  std::vector<std::string> seen;
  EXPECT_TRUE(eventually(limit, [&] {  // on a busy machine that one may be inside for long
    seen = commands();
    return seen == expected;
  })) << ::testing::PrintToString(seen);
}

// Nobody polls here: who gets in was told.
TEST_F(HandOff, TheNextOneIsInsideAtOnce) {
  const auto best = best_ms(5, [&] {
    auto lock = mutex.acquire_lock("key");
    auto next = std::async(std::launch::async, [&] {
      const auto handed = other.acquire_lock("key");
      return Clock::now();
    });
    EXPECT_TRUE(becomes(1));
    const auto released_at = Clock::now();
    lock.release();
    return ms_between(released_at, next.get());
  });
  EXPECT_LE(best, 5);
}

// The message comes before or after the answer to the release, on the same socket if the process hands over to itself.
TEST_F(HandOff, ToAThreadOfTheSameProcessThroughTheServer) {
  Options apart = sleepy;
  apart.local_handoffs = 0;
  const RedisMutex own{connection, apart};
  for (int i = 0; i < 20; ++i) {
    auto lock = own.acquire_lock("key");
    auto next = std::async(std::launch::async, [&] { return own.acquire_lock("key"); });
    ASSERT_TRUE(becomes(1));
    lock.release();
    EXPECT_TRUE(next.get().owns_lock());
  }
}

// Eight processes for a while: nobody is ever inside with another, and nobody gets much more than the others.
TEST_F(HandOff, ProcessesTakeTurns) {
  constexpr int processes = 8, turns = 40;
  ExclusionWitness witness;
  Channel left;
  std::vector<ChildProcess> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back([&] {
      const RedisMutex own{Connection{server.url()}, sleepy};
      for (int n = 0; n < turns; ++n) {
        const auto lock = own.acquire_lock("key");
        witness.enter();
        work_for(200us);
        witness.leave();
      }
      left.send(std::to_string(witness.entries()));
      return 0;
    });
  }
  for (const auto& child : children) EXPECT_EQ(child.wait(2 * limit), exited(0));
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), processes * turns);
}

// ---- from thread to thread ------------------------------------------------------------------------------------------

// Threads that are alone at the key do not trouble the server: it is asked once a millisecond who else is there.
TEST_F(HandOff, ThreadsPassTheLockOnWithoutTheServer) {
  constexpr int threads = 8, turns = 500;
  connection.ping();
  server.command({"CONFIG", "RESETSTAT"});
  const Stopwatch watch;
  ExclusionWitness witness;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (int n = 0; n < turns; ++n) {
          const auto lock = mutex.acquire_lock("key");
          witness.enter();
          std::this_thread::yield();
          witness.leave();
        }
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
  // At the beginning and at the end a thread may find itself alone, and then locks and unlocks at the server.
  EXPECT_LE(server.command_calls()["evalsha"], watch.elapsed_ms() + threads * turns / 10);
}

// What a thread was passed is a lock like any other: its value is at the key, and its lease is what is left.
TEST_F(HandOff, APassedLockIsTheSameAtTheServer) {
  auto lock = mutex.acquire_lock("key");
  const auto value = lock.value();
  auto next = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  lock.release();
  const auto passed = next.get();
  EXPECT_EQ(passed.value(), value);
  EXPECT_EQ(server.get("key"), value);
  EXPECT_LE(passed.valid_for().count(), server.pttl("key"));
  EXPECT_GT(passed.valid_for(), *sleepy.expiry - limit);
}

// Threads that always want the lock let another process in after 16 passes: that one waits for 17 at the most, the one
// under way when it came included.
TEST_F(HandOff, AnotherProcessHasItsTurn) {
  constexpr int threads = 4, visits = 7;
  std::atomic<bool> over = false;
  std::atomic<long> entries = 0;
  std::vector<long> passed_over;
  {
    std::vector<std::jthread> busy;
    for (int i = 0; i < threads; ++i) {
      busy.emplace_back([&] {
        while (!over) {
          const auto lock = mutex.acquire_lock("key");
          ++entries;
          work_for(2ms);
        }
      });
    }
    EXPECT_TRUE(eventually(limit, [&] { return entries > threads; }));
    for (int n = 0; n < visits; ++n) {
      // From when it is in line; who is inside then has been counted.
      auto visit = std::async(std::launch::async, [&] {
        const auto lock = other.acquire_lock("key");
        return entries.load();
      });
      eventually(limit, [&] { return in_line(server, "key") > 0 || visit.wait_for(0s) == std::future_status::ready; });
      const long before = entries;
      passed_over.push_back(visit.get() - before);
    }
    over = true;
  }
  std::nth_element(passed_over.begin(), passed_over.begin() + visits / 2, passed_over.end());
  EXPECT_LE(passed_over[visits / 2], 16) << ::testing::PrintToString(passed_over);
}

// Two processes of several threads each: both get their turns, and nobody is inside with another.
TEST_F(HandOff, ThreadsOfTwoProcesses) {
  constexpr int threads = 4, turns = 100;
  ExclusionWitness witness;
  std::vector<std::jthread> all;
  for (const RedisMutex& own : {mutex, other}) {
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&witness, own] {
        for (int n = 0; n < turns; ++n) {
          const auto lock = own.acquire_lock("key");
          witness.enter();
          witness.leave();
        }
      });
    }
  }
  all.clear();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), 2 * threads * turns);
}

}  // namespace
}  // namespace redismutex::testing
