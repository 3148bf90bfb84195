// RedisMutex: who gets in, who waits how long, and what is thrown to those who do not.

#include <signal.h>

#include <algorithm>
#include <future>
#include <numeric>
#include <set>
#include <thread>

#include "stopwatch.hpp"
#include "support/channel.hpp"
#include "support/exclusion_witness.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct RedisMutexTest : WithServer {
  const RedisMutex mutex{connection, patient};
  const RedisMutex impatient{connection, non_blocking};

  /// Someone else's lock, of a client of the common pattern.
  void take_away(const std::string& key) { server.command({"SET", key, "other", "PX", "60000"}); }
  void give_back(const std::string& key) { server.command({"DEL", key}); }
};

// ---- one attempt ----------------------------------------------------------------------------------------------------

TEST_F(RedisMutexTest, AcquiresAFreeLock) {
  const auto lock = mutex.acquire_lock("key");
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(server.get("key"), lock.value());
}

// However often the same owner asks: locks are not recursive.
TEST_F(RedisMutexTest, IsNotRecursive) {
  const auto lock = mutex.acquire_lock("key");
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_EQ(server.get("key"), lock.value());
}

TEST_F(RedisMutexTest, NonBlockingFailsAtOnceAndNamesKeyAndServer) {
  take_away("the key");
  const Stopwatch watch;
  const auto error = thrown<MutexLockError>([&] { return impatient.acquire_lock("the key"); });
  EXPECT_LT(watch.elapsed_ms(), 1000);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("the key"), HasSubstr(server.socket_path())));
  EXPECT_EQ(server.get("the key"), "other");
  give_back("the key");
}

// try_acquire_lock makes one attempt, whether its mutex blocks or not.
TEST_F(RedisMutexTest, TryGivesNothingWhenTaken) {
  take_away("key");
  const Stopwatch watch;
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_FALSE(impatient.try_acquire_lock("key"));
  EXPECT_LT(watch.elapsed_ms(), 1000);
  give_back("key");
  const auto lock = mutex.try_acquire_lock("key");
  ASSERT_TRUE(lock);
  EXPECT_EQ(server.get("key"), lock->value());
}

// ---- waiting --------------------------------------------------------------------------------------------------------

TEST_F(RedisMutexTest, WaitsUntilReleased) {
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return mutex.acquire_lock("key").owns_lock(); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  lock.release();
  EXPECT_TRUE(next.get());
}

TEST_F(RedisMutexTest, TryForWaitsEvenIfTheMutexDoesNot) {
  take_away("key");
  auto next = std::async(std::launch::async, [&] { return impatient.try_acquire_lock_for("key", limit); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  give_back("key");
  EXPECT_TRUE(next.get());
}

// Never earlier than the limit, and within a few milliseconds after it: no limit here is a multiple of the delay, so the
// last sleep has to be cut short.
TEST_F(RedisMutexTest, BlockTimeIsHonoured) {
  take_away("key");
  for (const auto block_time : {21ms, 50ms, 99ms}) {
    const RedisMutex waiting{connection, {.block_time = block_time, .delay = 20ms, .expiry = 10s}};
    const auto late = best_ms(5, [&] {
      const Stopwatch watch;
      try {
        (void)waiting.acquire_lock("key");
        ADD_FAILURE() << "it got in";
      } catch (const BlockTimeExceedError& error) {
        EXPECT_GE(watch.elapsed_ms(), block_time.count());
        EXPECT_THAT(error.what(), AllOf(HasSubstr("key"), HasSubstr(server.socket_path()),
                                        HasSubstr(std::to_string(block_time.count()))));
      }
      return watch.elapsed_ms() - block_time.count();
    });
    EXPECT_LE(late, 5) << block_time.count();
  }
  give_back("key");
}

TEST_F(RedisMutexTest, TryForHonoursItsLimit) {
  take_away("key");
  for (const auto wanted : {1ms, 21ms, 99ms}) {
    const auto late = best_ms(5, [&] {
      const Stopwatch watch;
      EXPECT_FALSE(mutex.try_acquire_lock_for("key", wanted));
      EXPECT_GE(watch.elapsed_ms(), wanted.count());
      return watch.elapsed_ms() - wanted.count();
    });
    EXPECT_LE(late, 5) << wanted.count();
  }
  give_back("key");
}

// A lock that gets free between the last poll and the limit is taken: nobody sleeps past the limit without looking.
TEST_F(RedisMutexTest, LooksOnceMoreJustBeforeTheLimit) {
  const bool taken = eventually(limit, [&] {
    take_away("key");
    auto next = std::async(std::launch::async, [&] {
      const RedisMutex slow{connection, {.block_time = 300ms, .delay = 200ms, .expiry = 10s}};
      return slow.try_acquire_lock_for("key", 300ms).has_value();
    });
    std::this_thread::sleep_for(250ms);  // after the poll at 200 ms; on a busy machine perhaps too late: then once more
    give_back("key");
    return next.get();
  });
  EXPECT_TRUE(taken);
}

// A busy network is no broken one: the answers to the last look come after the limit, and the limit is still what is
// reported.
TEST_F(RedisMutexTest, BlockTimeIsReportedOverASlowNetwork) {
  Proxy proxy(server);
  const Connection slow{proxy.url()};
  slow.ping();
  take_away("key");
  proxy.delay(Direction::replies, 20ms);
  const RedisMutex waiting{slow, {.block_time = 150ms, .delay = 30ms, .expiry = 10s}};
  for (int i = 0; i < 3; ++i) {
    const Stopwatch watch;
    thrown<BlockTimeExceedError>([&] { return waiting.acquire_lock("key"); });
    EXPECT_GE(watch.elapsed_ms(), 150);
    EXPECT_FALSE(waiting.try_acquire_lock_for("key", 150ms));
  }
  proxy.pass();
  give_back("key");
}

// Whoever has waited holds a lease that counts from the moment it was granted, not from the call.
TEST_F(RedisMutexTest, LeaseBeginsWhenTheLockIsGranted) {
  take_away("key");
  auto next = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  give_back("key");
  const auto lock = next.get();
  EXPECT_GT(lock.valid_for(), *patient.expiry - quiet_time - 1s);
  EXPECT_GT(server.pttl("key"), (*patient.expiry - 1s).count());
}

// ---- cancelling -----------------------------------------------------------------------------------------------------

// A wait that would go on for long ends within milliseconds of the stop; the other's lock is untouched.
TEST_F(RedisMutexTest, StopTokenEndsTheWait) {
  const RedisMutex slow{connection, {.block_time = 60s, .delay = 59s, .expiry = 61s}};
  take_away("key");
  const auto best = best_ms(10, [&] {
    std::stop_source stop;
    auto wait = std::async(std::launch::async,
                           [&] { thrown<LockCancelled>([&] { return slow.acquire_lock("key", stop.get_token()); }); });
    EXPECT_EQ(wait.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    wait.get();
    return watch.elapsed_ms();
  });
  EXPECT_LE(best, 10);
  EXPECT_EQ(server.get("key"), "other");
  give_back("key");
}

TEST_F(RedisMutexTest, StopTokenEndsTryFor) {
  take_away("key");
  std::stop_source stop;
  auto wait = std::async(std::launch::async, [&] {
    const auto error =
        thrown<LockCancelled>([&] { return mutex.try_acquire_lock_for("key", limit, stop.get_token()); });
    EXPECT_THAT(error.what(), HasSubstr("key"));
  });
  EXPECT_EQ(wait.wait_for(20ms), std::future_status::timeout);
  stop.request_stop();
  wait.get();
  give_back("key");
}

// Even while the server says nothing; what it took for us in the meantime is given back when it wakes.
TEST_F(RedisMutexTest, StopTokenEndsTheWaitForASilentServer) {
  connection.ping();
  server.pause();
  const auto best = best_ms(10, [&] {
    std::stop_source stop;
    auto wait = std::async(std::launch::async,
                           [&] { thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); }); });
    EXPECT_EQ(wait.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    wait.get();
    return watch.elapsed_ms();
  });
  EXPECT_LE(best, 10);
  server.resume();
}

TEST_F(RedisMutexTest, StopTokenThatHasFiredStopsAtOnceAndTakesNothing) {
  std::stop_source stop;
  stop.request_stop();
  connection.ping();
  server.command({"CONFIG", "RESETSTAT"});
  thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); });
  thrown<LockCancelled>([&] { return mutex.try_acquire_lock_for("key", limit, stop.get_token()); });
  connection.ping();  // after which the server has seen whatever was sent
  EXPECT_FALSE(server.command_calls().contains("set")) << "it was over before it began";
}

TEST_F(RedisMutexTest, StopTokenThatNeverFiresChangesNothing) {
  const std::stop_source stop;
  EXPECT_TRUE(mutex.acquire_lock("key", stop.get_token()).owns_lock());
}

// A stop in the very moment in which the lock is granted: either way, nothing is left at the end.
TEST_F(RedisMutexTest, StopAndGrantAtTheSameMoment) {
  int cancelled = 0;
  for (int i = 0; i < 200; ++i) {
    std::stop_source stop;
    std::jthread stopper([&] {
      for (int n = 0; n < i; ++n) std::this_thread::yield();
      stop.request_stop();
    });
    try {
      const auto lock = mutex.acquire_lock("key" + std::to_string(i), stop.get_token());
    } catch (const LockCancelled&) {
      ++cancelled;
    }
  }
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << cancelled << " were cancelled";
}

// ---- many -----------------------------------------------------------------------------------------------------------

// One RedisMutex serves all threads: on one key only one of them is inside at any time.
TEST_F(RedisMutexTest, ThreadsOnOneKeyExcludeEachOther) {
  constexpr int threads = 16, turns = 10;
  const RedisMutex shared{connection, {.block_time = limit, .delay = 1ms, .expiry = 2 * limit}};
  ExclusionWitness witness;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (int n = 0; n < turns; ++n) {
          const auto lock = shared.acquire_lock("key");
          witness.enter();
          witness.leave();
        }
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// On keys of their own they do not: all are inside together.
TEST_F(RedisMutexTest, ThreadsOnDistinctKeysDoNot) {
  constexpr int threads = 16;
  ExclusionWitness witness;
  std::vector<std::jthread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      const auto lock = impatient.acquire_lock("key " + std::to_string(i));
      witness.enter();
      EXPECT_TRUE(eventually(limit, [&] { return witness.most_inside() == threads; }));
      witness.leave();
    });
  }
}

TEST_F(RedisMutexTest, ProcessesOnOneKeyExcludeEachOther) {
  constexpr int processes = 6, turns = 20;
  ExclusionWitness witness;
  std::vector<ChildProcess> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back([&] {
      const RedisMutex own{Connection{server.url()}, {.block_time = limit, .delay = 1ms, .expiry = 2 * limit}};
      for (int n = 0; n < turns; ++n) {
        const auto lock = own.acquire_lock("key");
        witness.enter();
        witness.leave();
      }
      return 0;
    });
  }
  for (const auto& child : children) EXPECT_EQ(child.wait(2 * limit), exited(0));
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), processes * turns);
}

// The owner is killed (-9) inside. Its lease, which nobody renews, ends by itself: not before its time, and then the next
// one is in.
TEST_F(RedisMutexTest, ExpiryFreesADeadOwnersLock) {
  constexpr auto expiry = 300ms;
  Channel events;
  const ChildProcess owner([&] {
    const RedisMutex own{Connection{server.url()}, {.blocking = false, .expiry = expiry}};
    const auto lock = own.acquire_lock("key");
    events.send("inside");
    ::pause();
    return 0;
  });
  ASSERT_EQ(events.receive(limit), "inside");
  const Stopwatch watch;
  const auto left = server.pttl("key");
  owner.kill(SIGKILL);
  EXPECT_EQ(owner.wait(limit), killed_by(SIGKILL));
  const auto lock = mutex.acquire_lock("key");
  EXPECT_GE(watch.elapsed_ms(), left - 2);  // the server's clock is rounded
  EXPECT_LE(left, expiry.count());
  EXPECT_EQ(server.get("key"), lock.value());
}

// Where ids repeat, one owner could free another's lock.
TEST_F(RedisMutexTest, EveryAcquisitionHasAnIdOfItsOwn) {
  constexpr int processes = 3, acquisitions = 100;
  Channel ids;
  const auto acquire_all = [&] {
    for (int i = 0; i < acquisitions; ++i)
      ids.send(impatient.acquire_lock("key " + std::to_string(::getpid())).value());
    return 0;
  };
  acquire_all();
  std::vector<ChildProcess> children;  // forked after the first ids were drawn
  for (int i = 1; i < processes; ++i) children.emplace_back(acquire_all);
  for (const auto& child : children) EXPECT_EQ(child.wait(limit), exited(0));
  const auto drawn = ids.drain();
  EXPECT_EQ(drawn.size(), processes * acquisitions);
  EXPECT_EQ((std::set<std::string>(drawn.begin(), drawn.end()).size()), drawn.size());
}

// ---- keys and arguments ---------------------------------------------------------------------------------------------

// A key is a string of bytes, stored exactly as given.
TEST_F(RedisMutexTest, KeysOfAnyBytes) {
  std::string all_bytes(256, '\0');
  std::iota(all_bytes.begin(), all_bytes.end(), '\0');
  const std::vector<std::string> keys{
      std::string("a\0b", 3),
      std::string(1, '\0'),
      "two\r\nlines",
      "Schlüssel 鍵 🔑",
      "{tag}key",
      "{}",
      "}{",
      "a b",
      "*",
      "'\"\\",
      "%s%n",
      "$-1",
      "\xff\xfe",
      all_bytes,
      std::string(RedisMutex::max_key_size, 'x'),
  };
  for (const auto& key : keys) {
    auto lock = impatient.acquire_lock(key);
    EXPECT_EQ(lock.key(), key);
    EXPECT_EQ(server.keys(), std::vector<std::string>{key});
    EXPECT_EQ(server.get(key), lock.value());
    thrown<MutexLockError>([&] { return impatient.acquire_lock(key); });
    EXPECT_NO_THROW(lock.extend());
    EXPECT_NO_THROW(lock.release());
    EXPECT_FALSE(server.exists(key));
  }
}

// Bad arguments are refused before anything is sent, so even without a server.
TEST_F(RedisMutexTest, BadKeysAreRefusedBeforeAnythingIsSent) {
  for (const auto& key : {std::string(), std::string(RedisMutex::max_key_size + 1, 'x')}) {
    EXPECT_THROW((void)mutex.acquire_lock(key), std::invalid_argument);
    EXPECT_THROW((void)mutex.try_acquire_lock(key), std::invalid_argument);
    EXPECT_THROW((void)mutex.try_acquire_lock_for(key, 1s), std::invalid_argument);
  }
  EXPECT_EQ(server.connected_clients(), 0);
}

TEST_F(RedisMutexTest, BadLimitsAreRefusedBeforeAnythingIsSent) {
  for (const auto wanted : {0ms, -1ms, std::chrono::milliseconds::max(), std::chrono::milliseconds::min()}) {
    const auto error = thrown<std::invalid_argument>([&] { return mutex.try_acquire_lock_for("key", wanted); });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("limit"), HasSubstr(std::to_string(wanted.count()))));
  }
  EXPECT_EQ(server.connected_clients(), 0);
}

TEST_F(RedisMutexTest, BadDurationsInOptionsAreRefused) {
  const auto refusal = [&](const Options& options) {
    return std::string(thrown<std::invalid_argument>([&] { return RedisMutex{connection, options}; }).what());
  };
  for (const auto bad : {0ms, -1ms, std::chrono::milliseconds::min()}) {
    const auto value = HasSubstr(std::to_string(bad.count()));
    EXPECT_THAT(refusal({.expiry = bad}), AllOf(HasSubstr("expiry"), value));
    EXPECT_THAT(refusal({.blocking = false, .expiry = bad}), AllOf(HasSubstr("expiry"), value));
    EXPECT_THAT(refusal({.block_time = bad}), AllOf(HasSubstr("block_time"), value));
    EXPECT_THAT(refusal({.delay = bad}), AllOf(HasSubstr("delay"), value));
  }
  // So long that a deadline counted from now would overflow, here or on the server.
  constexpr auto longest = std::chrono::milliseconds::max();
  EXPECT_THAT(refusal({.expiry = longest}), HasSubstr("expiry"));
  EXPECT_THAT(refusal({.block_time = longest - 1ms, .expiry = longest}), HasSubstr("Options::"));
}

// Limits and leases of ten years are durations like others: nothing overflows, alone, in line, or with a delay as long.
TEST_F(RedisMutexTest, TheLongestDurationsWork) {
  constexpr auto ten_years = std::chrono::milliseconds{24h * 365 * 10};
  const RedisMutex longest{connection, {.block_time = ten_years - 1ms, .delay = ten_years - 2ms, .expiry = ten_years}};
  const RedisMutex not_blocking{connection, {.blocking = false, .delay = ten_years - 2ms, .expiry = ten_years}};
  std::optional<Lock> lock = longest.acquire_lock("key");
  EXPECT_GT(lock->valid_for(), ten_years * 98 / 100);
  EXPECT_FALSE(not_blocking.try_acquire_lock("key"));
  auto first = std::async(std::launch::async, [&] { return longest.acquire_lock("key").owns_lock(); });
  auto second = std::async(std::launch::async, [&] {
    return RedisMutex{Connection{server.url()}, not_blocking.options()}
        .try_acquire_lock_for("key", ten_years)
        .has_value();
  });
  EXPECT_EQ(first.wait_for(quiet_time), std::future_status::timeout);
  EXPECT_EQ(second.wait_for(0s), std::future_status::timeout);
  lock.reset();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

// With a lease that is renewed a wait may be longer than it.
TEST_F(RedisMutexTest, AWaitMayBeLongerThanALeaseThatIsRenewed) {
  const RedisMutex renewed{connection, {.block_time = limit, .expiry = 100ms, .auto_renew = true}};
  auto lock = renewed.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return renewed.acquire_lock("key").owns_lock(); });
  EXPECT_EQ(next.wait_for(300ms), std::future_status::timeout) << "for three leases";
  EXPECT_TRUE(lock.owns_lock());
  lock.release();
  EXPECT_TRUE(next.get());
}

// ---- messages -------------------------------------------------------------------------------------------------------

// A key may hold anything; what a message shows of it are whole characters, without effect on a terminal.
TEST_F(RedisMutexTest, MessagesShowKeysThatATerminalCanShow) {
  const RedisMutex once{connection, non_blocking};
  const auto message_about = [&](const std::string& key) {
    const auto held = once.acquire_lock(key);
    return std::string(thrown<MutexLockError>([&] { return once.acquire_lock(key); }).what());
  };
  EXPECT_THAT(message_about("a\nb\x1b[2J"), HasSubstr(R"(lock 'a\nb\x1b[2J' on)"));
  EXPECT_THAT(message_about("\xc2\x9b"
                            "31m\x9b\x7f"),
              HasSubstr(R"(lock '\xc2\x9b31m\x9b\x7f' on)"));
  EXPECT_THAT(message_about("caf\xc3\xa9"), HasSubstr("lock 'caf\xc3\xa9' on"));
  std::string locks;  // of four bytes each
  for (int i = 0; i < 40; ++i) locks += "\xf0\x9f\x94\x92";
  for (const auto* before : {"", "1", "12", "123"}) {
    const std::string key = before + locks;
    const std::string message = message_about(key);
    const auto from = message.find('\'') + 1;
    const std::string shown = message.substr(from, message.find("...'") - from);
    EXPECT_TRUE(key.starts_with(shown)) << message;
    EXPECT_EQ((shown.size() - std::string_view(before).size()) % 4, 0U) << message;
    EXPECT_GT(shown.size(), 70U) << message;
  }
}

// ---- others' keys ---------------------------------------------------------------------------------------------------

// Some clients store locks without expiry: there is no deadline to wait for, and still the limit holds.
TEST_F(RedisMutexTest, ALockWithoutExpiryIsTakenToo) {
  server.command({"SET", "key", "for ever"});
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_FALSE(mutex.try_acquire_lock_for("key", 100ms));
  EXPECT_EQ(server.pttl("key"), -1);
  auto next = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  give_back("key");
  EXPECT_TRUE(next.get().owns_lock());
}

// The empty string is an owner like any other.
TEST_F(RedisMutexTest, ALockWithAnEmptyValueIsTakenToo) {
  server.command({"SET", "key", "", "PX", "60000"});
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_EQ(server.get("key"), "");
  give_back("key");
}

}  // namespace
}  // namespace redismutex::testing
