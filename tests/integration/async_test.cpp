// AsyncMutex: the same locks for coroutines and callbacks. What it shares with RedisMutex is in conformance_test.cpp.

#include <signal.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/exclusion_witness.hpp"
#include "support/loop.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

struct Async : WithServer {
  Loop loop;
  const AsyncMutex mutex{connection, patient, loop.executor()};
  const RedisMutex blocking{connection, patient};
  const RedisMutex elsewhere{Connection{server.url()}, patient};

  bool somebody_waits(const std::string& key = "key", int places = 1) {
    return eventually(limit, [&] {
      return server.command({"ZCOUNT", "redismutex:{" + key + "}", "-inf", "(4000000000000000"}).integer == places;
    });
  }
  bool nobody_waits(const std::string& key = "key") {
    return eventually(limit, [&] { return !server.exists("redismutex:{" + key + "}"); });
  }
  bool becomes_free(const std::string& key = "key") {
    return eventually(limit, [&] { return !server.exists(key); });
  }
};

Coroutine acquire(const AsyncMutex& mutex, std::stop_token stop = {}) {
  const AsyncLock lock = co_await mutex.acquire_lock("key", std::move(stop));
}

Coroutine watch(const AsyncLock& lock, std::optional<Loss>& how, std::stop_token stop = {}) {
  how = co_await lock.lost(std::move(stop));
}

// ---- taking turns ---------------------------------------------------------------------------------------------------

Coroutine take_turns(const AsyncMutex& mutex, ExclusionWitness& witness, int turns) {
  for (int i = 0; i < turns; ++i) {
    AsyncLock lock = co_await mutex.acquire_lock("key");
    witness.enter();
    witness.leave();
    co_await lock.release();
  }
}

TEST_F(Async, CoroutinesAndThreadsOfTwoConnectionsTakeTurns) {
  ExclusionWitness witness;
  const AsyncMutex other{Connection{server.url()}, patient, loop.executor()};
  std::vector<Coroutine> coroutines;
  for (int i = 0; i < 8; ++i) coroutines.push_back(take_turns(i % 2 == 0 ? mutex : other, witness, 20));
  std::jthread thread{[&] {
    for (int i = 0; i < 20; ++i) {
      auto lock = blocking.acquire_lock("key");
      witness.enter();
      witness.leave();
      lock.release();
    }
  }};
  for (Coroutine& each : coroutines) each.get();
  thread.join();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), 9 * 20);
}

TEST_F(Async, FourLoopThreadsTakeTurns) {
  Loop wide{4};
  const AsyncMutex many{connection, patient, wide.executor()};
  ExclusionWitness witness;
  std::vector<Coroutine> coroutines;
  for (int i = 0; i < 32; ++i) coroutines.push_back(take_turns(many, witness, 20));
  for (Coroutine& each : coroutines) each.get();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), 32 * 20);
}

// None of them runs on another's stack.
TEST_F(Async, AHundredThousandCoroutinesGoThroughOneStack) {
  constexpr int many = sanitized ? 10'000 : 100'000;
  ExclusionWitness witness;
  auto held = blocking.acquire_lock("key");
  std::vector<Coroutine> coroutines;
  coroutines.reserve(many);
  for (int i = 0; i < many; ++i) coroutines.push_back(take_turns(mutex, witness, 1));
  held.release();
  for (Coroutine& each : coroutines) each.get();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), many);
}

TEST_F(Async, ThreadsAndCoroutinesWaitInOneLine) {
  auto held = elsewhere.acquire_lock("key");
  std::vector<int> order;
  const auto take = [&](int number) -> Coroutine {
    const AsyncLock lock = co_await mutex.acquire_lock("key");
    order.push_back(number);
  };
  Coroutine first = take(1);
  ASSERT_TRUE(somebody_waits());
  std::jthread second{[&] {
    auto lock = blocking.acquire_lock("key");
    order.push_back(2);
    lock.release();
  }};
  std::this_thread::sleep_for(quiet_time);  // there is no way to see it in line; too early makes the test too lenient
  Coroutine third = take(3);
  held.release();
  first.get();
  second.join();
  third.get();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

// ---- how operations end ---------------------------------------------------------------------------------------------

TEST_F(Async, NothingHappensBeforeItIsStarted) {
  { const auto never = mutex.acquire_lock("key"); }
  auto operation = mutex.acquire_lock("key");
  EXPECT_FALSE(server.exists("key"));
  const AsyncLock lock = wait_for(std::move(operation));
  EXPECT_TRUE(lock.owns_lock());
}

TEST_F(Async, ACompletionRunsInTheExecutorOnly) {
  std::vector<Executor::Work> works;
  std::mutex guard;
  const AsyncMutex manual{connection, patient, [&](Executor::Work work) {
                            const std::lock_guard lock{guard};
                            works.push_back(std::move(work));
                          }};
  const auto has_work = [&] {
    const std::lock_guard lock{guard};
    return !works.empty();
  };
  std::optional<AsyncLock> taken;
  manual.acquire_lock("key").start([&](Outcome<AsyncLock> outcome) { taken.emplace(std::move(outcome).get()); });
  ASSERT_TRUE(eventually(limit, has_work));
  EXPECT_FALSE(taken);
  works.front()();
  ASSERT_TRUE(taken);
  EXPECT_EQ(server.get("key"), taken->value());
}

TEST_F(Async, WithoutAnExecutorItCompletesInAThreadOfTheLibrary) {
  const AsyncMutex bare{connection, patient};
  const auto here = std::this_thread::get_id();
  std::promise<std::thread::id> where;
  bare.try_acquire_lock("key").start([&](const Outcome<std::optional<AsyncLock>>& outcome) {
    EXPECT_TRUE(outcome);
    where.set_value(std::this_thread::get_id());
  });
  EXPECT_NE(where.get_future().get(), here);
}

// Its thread reads what others have asked for, too.
TEST_F(Async, ACompletionThatBlocksHoldsUpNoOthers) {
  const AsyncMutex bare{connection, patient};
  const auto taken = elsewhere.acquire_lock("taken");
  std::promise<bool> waited;
  bare.acquire_lock("mine").start(
      [&](const Outcome<AsyncLock>& /*outcome*/) { waited.set_value(!blocking.try_acquire_lock_for("taken", 2s)); });
  ASSERT_TRUE(somebody_waits("taken"));
  for (int i = 0; i < 20; ++i) wait_for(wait_for(mutex.acquire_lock("key")).release());
  auto has_waited = waited.get_future();
  EXPECT_EQ(has_waited.wait_for(0s), std::future_status::timeout) << "they were through before";
  EXPECT_TRUE(has_waited.get());
}

// A loop that ends takes its completions with it; and what they would have held is given back.
TEST_F(Async, AWorkThatIsDestroyedGivesTheLockBack) {
  std::atomic<int> dropped = 0;
  const AsyncMutex nowhere{connection, patient, [&](const Executor::Work&) { ++dropped; }};
  const auto released = std::make_shared<int>();
  nowhere.acquire_lock("key").start(
      [released](const Outcome<AsyncLock>& /*outcome*/) { ADD_FAILURE() << "completed nowhere"; });
  EXPECT_TRUE(eventually(limit, [&] { return dropped == 1 && released.use_count() == 1; }));
  EXPECT_TRUE(becomes_free());
}

// What goes with it is users' code, and may take its time: it holds up nobody else.
TEST_F(Async, WhatGoesWithALoopMayTakeItsTime) {
  struct Slow {
    std::shared_future<void> until;
    std::atomic<bool>& goes;
    ~Slow() {
      goes = true;
      until.wait_for(limit);
    }
  };
  auto held = elsewhere.acquire_lock("key");
  std::promise<void> may_go;
  std::atomic<bool> goes{false};
  const AsyncMutex nowhere{connection, {.block_time = 100ms}, [](const Executor::Work&) {}};
  nowhere.acquire_lock("key").start(
      [slow = std::unique_ptr<Slow>{new Slow{may_go.get_future().share(), goes}}](const Outcome<AsyncLock>&) {});
  ASSERT_TRUE(eventually(limit, [&] { return goes.load(); }));
  const AsyncMutex hasty{connection, {.block_time = 100ms}, loop.executor()};
  std::promise<void> is_over;
  hasty.acquire_lock("key").start([&](const Outcome<AsyncLock>&) { is_over.set_value(); });
  EXPECT_EQ(is_over.get_future().wait_for(limit / 2), std::future_status::ready);
  may_go.set_value();
  held.release();
}

// An Executor that goes with the last operation, which is answered in a round: that must not wait for it.
TEST_F(Async, WhatGoesWithAnExecutorMayTakeItsTime) {
  struct Slow {
    Slow(Connection server, std::promise<bool>& end) : mutex{std::move(server), patient}, ended{end} {}
    Slow(const Slow&) = delete;
    ~Slow() {
      std::promise<void> told;
      mutex.acquire_lock("other").start([&](const Outcome<AsyncLock>&) { told.set_value(); });
      ended.set_value(told.get_future().wait_for(limit) == std::future_status::ready);
    }
    const AsyncMutex mutex;  // its operations need rounds, too
    std::promise<bool>& ended;
  };
  Proxy proxy{server};
  const Connection behind_proxy{proxy.url()};
  RedisMutex{behind_proxy, patient}.acquire_lock("key").release();
  std::promise<bool> ended;
  std::stop_source stop;
  std::promise<void> is_told;
  {
    const AsyncMutex mutex_there{
        behind_proxy, patient,
        [this, slow = std::make_shared<Slow>(connection, ended)](Executor::Work work) { loop.post(std::move(work)); }};
    proxy.freeze();
    mutex_there.acquire_lock("key", stop.get_token()).start([&](const Outcome<AsyncLock>&) { is_told.set_value(); });
    std::this_thread::sleep_for(20ms);  // it is sent
    stop.request_stop();
    is_told.get_future().wait();
  }
  proxy.pass();
  EXPECT_TRUE(ended.get_future().get());
}

// Nobody else has what is started with a callback.
TEST_F(Async, ALossIsToldToACallback) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  std::promise<Loss> how;
  lock.lost().start([&](Outcome<Loss> outcome) { how.set_value(std::move(outcome).get()); });
  server.command({"DEL", "key"});
  auto told = how.get_future();
  ASSERT_EQ(told.wait_for(limit), std::future_status::ready);
  EXPECT_EQ(told.get(), Loss::gone);
}

TEST_F(Async, ACallbackThatWaitsForALossGoesWithTheLock) {
  const auto kept = std::make_shared<int>();
  {
    const AsyncLock lock = wait_for(mutex.acquire_lock("key"));
    lock.lost().start([kept](const Outcome<Loss>& outcome) { EXPECT_FALSE(outcome); });
    EXPECT_GT(kept.use_count(), 1);
  }
  EXPECT_TRUE(eventually(limit, [&] { return kept.use_count() == 1; }));
}

// Users' code would run in a round, for which all operations of the process wait.
TEST_F(Async, AnExecutorThatRunsAWorkAtOnceIsFoundInADebugBuild) {
  const ChildProcess child{[&] {
    const AsyncMutex hasty{connection, patient, [](Executor::Work work) { work(); }};
    std::promise<void> told;
    hasty.acquire_lock("key").start([&](const Outcome<AsyncLock>&) { told.set_value(); });
    told.get_future().wait_for(limit);
    return 0;
  }};
  EXPECT_EQ(child.wait(2 * limit), killed_by(SIGABRT));
  server.command({"DEL", "key"});
}

TEST_F(Async, AnExecutorThatThrowsGivesTheLockBack) {
  const AsyncMutex broken{connection, patient, [](const Executor::Work&) { throw std::runtime_error{"no loop"}; }};
  const auto released = std::make_shared<int>();
  broken.acquire_lock("key").start([released](const Outcome<AsyncLock>& /*outcome*/) { ADD_FAILURE(); });
  EXPECT_TRUE(eventually(limit, [&] { return released.use_count() == 1; }));
  EXPECT_TRUE(becomes_free());
}

TEST_F(Async, AServerThatIsAwayIsAnError) {
  Server gone;
  const AsyncMutex lost{Connection{gone.url()}, {.block_time = 100ms}, loop.executor()};
  gone.kill();
  EXPECT_THROW(wait_for(lost.acquire_lock("key")), ConnectionError);
  EXPECT_THROW(wait_for(lost.try_acquire_lock("key")), ConnectionError);
}

TEST_F(Async, BadArgumentsAreErrorsAtOnce) {
  EXPECT_THROW((void)mutex.acquire_lock(""), std::invalid_argument);
  EXPECT_THROW((void)mutex.try_acquire_lock_for("key", 0ms), std::invalid_argument);
  AsyncLock empty;
  EXPECT_THROW((void)empty.release(), MutexUnlockError);
  EXPECT_THROW((void)empty.extend(), MutexUnlockError);
  EXPECT_THROW((void)empty.lost(), MutexUnlockError);
  EXPECT_FALSE(empty.owns_lock());
}

// ---- cancelling -----------------------------------------------------------------------------------------------------

TEST_F(Async, AStopTokenEndsAWaitAtTheServer) {
  auto held = elsewhere.acquire_lock("key");
  std::stop_source stop;
  Coroutine waiting = acquire(mutex, stop.get_token());
  ASSERT_TRUE(somebody_waits());
  stop.request_stop();
  EXPECT_THROW(waiting.get(), LockCancelled);
  EXPECT_TRUE(nobody_waits());
  held.release();
}

TEST_F(Async, AStopTokenEndsAWaitInTheLineOfTheProcess) {
  auto held = elsewhere.acquire_lock("key");
  std::stop_source stop;
  Coroutine first = acquire(mutex);
  ASSERT_TRUE(somebody_waits());
  Coroutine second = acquire(mutex, stop.get_token());
  stop.request_stop();
  EXPECT_THROW(second.get(), LockCancelled);
  EXPECT_FALSE(first.has_ended());
  held.release();
  first.get();
}

TEST_F(Async, ATokenThatHasStoppedSendsNothing) {
  std::stop_source stop;
  stop.request_stop();
  connection.ping();
  EXPECT_THROW(wait_for(mutex.acquire_lock("key", stop.get_token())), LockCancelled);
  const auto calls = server.info("commandstats");
  EXPECT_EQ(calls.count("cmdstat_set") + calls.count("cmdstat_evalsha"), 0U);
}

// At any moment: what was granted by then is given back.
TEST_F(Async, CancelledAtAnyMomentNothingIsHeld) {
  for (int i = 0; i < 200; ++i) {
    std::stop_source stop;
    std::promise<bool> ended;
    mutex.acquire_lock("key", stop.get_token()).start([&](Outcome<AsyncLock> outcome) {
      ended.set_value(static_cast<bool>(outcome));
    });
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds{i});
    stop.request_stop();
    ended.get_future().get();
  }
  EXPECT_TRUE(becomes_free());
}

TEST_F(Async, ACoroutineThatIsDestroyedCancels) {
  auto held = elsewhere.acquire_lock("key");
  Coroutine waiting = acquire(mutex);
  ASSERT_TRUE(somebody_waits());
  waiting.destroy();
  EXPECT_TRUE(nobody_waits());
  held.release();
}

TEST_F(Async, ALoopThatEndsWithCoroutinesSuspendedLeavesNothingBehind) {
  auto held = elsewhere.acquire_lock("key");
  {
    Loop short_lived;
    const AsyncMutex there{connection, patient, short_lived.executor()};
    std::vector<Coroutine> waiting;
    for (int i = 0; i < 10; ++i) {
      waiting.push_back(acquire(there));
    }
    ASSERT_TRUE(somebody_waits());
    short_lived.end();
  }
  EXPECT_TRUE(nobody_waits());
  held.release();
}

// ---- AsyncLock ------------------------------------------------------------------------------------------------------

TEST_F(Async, ADestroyedLockIsReleasedBeforeWhatIsStartedLater) {
  for (int i = 0; i < 50; ++i) {
    {
      const AsyncLock lock = wait_for(mutex.acquire_lock("key"));
    }
    EXPECT_TRUE(wait_for(mutex.try_acquire_lock_for("key", limit)));
  }
}

TEST_F(Async, AReleaseThatIsNeverStartedHappens) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  { const auto never = lock.release(); }
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_EQ(lock.key(), "");
  EXPECT_TRUE(becomes_free());
}

TEST_F(Async, AReleaseTellsThatTheLockWasLost) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  server.command({"DEL", "key"});
  EXPECT_THROW(wait_for(lock.release()), MutexUnlockError);
}

TEST_F(Async, AnExtensionSaysHowLongItIsValid) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  const milliseconds valid = wait_for(lock.extend(1h));
  EXPECT_GT(valid, 50min);
  EXPECT_GT(server.pttl("key"), 3'500'000);
  server.command({"DEL", "key"});
  EXPECT_THROW(wait_for(lock.extend()), MutexUnlockError);
  EXPECT_FALSE(lock.owns_lock());
}

TEST_F(Async, LostEndsWithTheReason) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  std::optional<Loss> how;
  Coroutine lost = watch(lock, how);
  server.command({"DEL", "key"});
  lost.get();
  EXPECT_EQ(how, Loss::gone);
}

TEST_F(Async, LostIsCancelledByAReleaseOrByItsToken) {
  AsyncLock lock = wait_for(mutex.acquire_lock("key"));
  std::stop_source stop;
  std::optional<Loss> how;
  Coroutine stopped = watch(lock, how, stop.get_token());
  Coroutine released = watch(lock, how);
  stop.request_stop();
  EXPECT_THROW(stopped.get(), LockCancelled);
  EXPECT_FALSE(released.has_ended());
  wait_for(lock.release());
  EXPECT_THROW(released.get(), LockCancelled);
}

TEST_F(Async, AFencedLockHasARisingToken) {
  const AsyncMutex fenced{connection, {.block_time = limit, .expiry = 2 * limit, .fencing = true}, loop.executor()};
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    AsyncLock lock = wait_for(fenced.acquire_lock("key"));
    EXPECT_GT(*lock.fencing_token(), last);
    last = *lock.fencing_token();
    wait_for(lock.release());
  }
  server.command({"DEL", "redismutex:floor:{key}"});
}

}  // namespace
}  // namespace redismutex::testing
