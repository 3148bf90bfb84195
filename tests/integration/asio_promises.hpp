// What <redismutex/asio.hpp> and <redismutex/boost_asio.hpp> promise, for one of them each: asio_test.cpp and boost_asio_test.cpp say which.

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "asio_fork.hpp"
#include "support/exclusion_witness.hpp"
#include "support/loop.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct ASIO_SUITE : WithServer {
  net::io_context context;
  const ours::Mutex mutex{context, connection, patient};
  const RedisMutex elsewhere{Connection{server.url()}, patient};

  bool somebody_waits() {
    return eventually(limit, [&] { return server.exists("redismutex:{key}"); });
  }
  bool nobody_waits() {
    return eventually(limit, [&] { return !server.exists("redismutex:{key}"); });
  }
  bool becomes_free() {
    return eventually(limit, [&] { return !server.exists("key"); });
  }

  net::awaitable<void> take_turns(ExclusionWitness& witness) {
    for (int i = 0; i < 20; ++i) {
      auto lock = co_await mutex.async_acquire_lock("key", net::use_awaitable);
      witness.enter();
      witness.leave();
      co_await async_release(std::move(lock), net::use_awaitable);
    }
  }

  /// Whether what is awaited throws that.
  template <class Error, class Begin>
  bool throws(Begin begin) {
    bool has_thrown = false;
    try {
      run([&] { return begin(); });
    } catch (const Error&) {
      has_thrown = true;
    }
    context.restart();
    return has_thrown;
  }

  /// Runs a coroutine to its end, and throws what it has thrown.
  void run(std::function<net::awaitable<void>()> body) {
    std::exception_ptr thrown;
    net::co_spawn(context, std::move(body), [&](std::exception_ptr error) { thrown = std::move(error); });
    context.run();
    context.restart();
    if (thrown) std::rethrow_exception(thrown);
  }
};

TEST_F(ASIO_SUITE, CoroutinesTakeTurns) {
  ExclusionWitness witness;
  for (int i = 0; i < 8; ++i) net::co_spawn(context, take_turns(witness), net::detached);
  context.run();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), 8 * 20);
}

TEST_F(ASIO_SUITE, SeveralThreadsRunOneContext) {
  ExclusionWitness witness;
  for (int i = 0; i < 16; ++i) net::co_spawn(context, take_turns(witness), net::detached);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([this] { context.run(); });
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), 16 * 20);
}

TEST_F(ASIO_SUITE, EachOperationThroughACoroutine) {
  run([this]() -> net::awaitable<void> {
    auto lock = co_await mutex.async_try_acquire_lock("key", net::use_awaitable);
    EXPECT_TRUE(lock && lock->owns_lock());
    const auto taken = co_await mutex.async_try_acquire_lock_for("key", 200ms, net::use_awaitable);
    EXPECT_FALSE(taken);
    const auto valid = co_await async_extend(*lock, 1h, net::use_awaitable);
    EXPECT_GT(valid, 50min);
    server.command({"DEL", "key"});
    const Loss how = co_await async_lost(*lock, net::use_awaitable);
    EXPECT_EQ(how, Loss::gone);
    bool was_told = false;
    try {
      co_await async_release(std::move(*lock), net::use_awaitable);
    } catch (const MutexUnlockError&) {
      was_told = true;
    }
    EXPECT_TRUE(was_told);
  });
}

// What can not begin tells its handler why, as any other error.
TEST_F(ASIO_SUITE, WhatCanNotBeginThrowsInTheCoroutine) {
  using net::use_awaitable;
  AsyncLock none;
  run([&]() -> net::awaitable<void> {
    none = co_await mutex.async_acquire_lock("key", use_awaitable);
    co_await ours::async_release(std::move(none), use_awaitable);
  });
  const auto bad_key = [&]() -> net::awaitable<void> { co_await mutex.async_acquire_lock("", use_awaitable); };
  EXPECT_TRUE(throws<std::invalid_argument>(bad_key));
  const auto bad_limit = [&]() -> net::awaitable<void> {
    co_await mutex.async_try_acquire_lock_for("key", -1ms, use_awaitable);
  };
  EXPECT_TRUE(throws<std::invalid_argument>(bad_limit));
  const auto extend = [&]() -> net::awaitable<void> { co_await ours::async_extend(none, 1h, use_awaitable); };
  EXPECT_TRUE(throws<MutexUnlockError>(extend));
  const auto lose = [&]() -> net::awaitable<void> { co_await ours::async_lost(none, use_awaitable); };
  EXPECT_TRUE(throws<MutexUnlockError>(lose));
  const auto release = [&]() -> net::awaitable<void> { co_await ours::async_release(AsyncLock{}, use_awaitable); };
  EXPECT_TRUE(throws<MutexUnlockError>(release));
}

TEST_F(ASIO_SUITE, WhatAHandlerThrowsComesOutOfItsContext) {
  mutex.async_acquire_lock(
      "key", [](const std::exception_ptr&, const AsyncLock&) { throw std::runtime_error{"of the handler"}; });
  EXPECT_THROW(context.run(), std::runtime_error);
  EXPECT_TRUE(becomes_free());
}

TEST_F(ASIO_SUITE, AHandlerOfTheCallersStaysTheCallers) {
  int told = 0;
  const auto handler = [shared = std::make_shared<int*>(&told)](const std::exception_ptr& error, const AsyncLock&) {
    EXPECT_FALSE(error);
    ++**shared;
  };
  auto own = handler;
  mutex.async_acquire_lock("key", own);
  mutex.async_acquire_lock("other", own);
  context.run();
  EXPECT_EQ(told, 2);
}

TEST_F(ASIO_SUITE, AnErrorKeepsItsMessage) {
  auto held = elsewhere.acquire_lock("key");
  const ours::Mutex hasty{context, connection, {.block_time = 200ms}};
  try {
    run([&]() -> net::awaitable<void> { co_await hasty.async_acquire_lock("key", net::use_awaitable); });
    ADD_FAILURE() << "acquired";
  } catch (const BlockTimeExceedError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'key'"));
  }
}

TEST_F(ASIO_SUITE, ACallbackIsCalledByItsOwnExecutor) {
  net::io_context other;
  std::thread::id where;
  auto work = net::make_work_guard(other);
  std::jthread thread{[&] { other.run(); }};
  mutex.async_acquire_lock("key", net::bind_executor(other, [&](std::exception_ptr error, const AsyncLock& lock) {
                             EXPECT_FALSE(error);
                             EXPECT_TRUE(lock.owns_lock());
                             where = std::this_thread::get_id();
                             work.reset();
                           }));
  std::jthread driver{[&] { context.run_for(limit); }};
  const auto id = thread.get_id();
  thread.join();
  EXPECT_EQ(where, id);
  context.stop();
}

TEST_F(ASIO_SUITE, AFutureIsReady) {
  auto future = mutex.async_acquire_lock("key", net::use_future);
  context.run();
  EXPECT_TRUE(future.get().owns_lock());
}

TEST_F(ASIO_SUITE, AContextThatEndsWithOperationsUnderWayLeavesNothingBehind) {
  auto held = elsewhere.acquire_lock("key");
  const auto frames = std::make_shared<int>();
  {
    net::io_context short_lived;
    const ours::Mutex there{short_lived, connection, patient};
    for (int i = 0; i < 10; ++i) {
      net::co_spawn(
          short_lived,
          [&there, frames]() -> net::awaitable<void> {
            const auto kept = frames;
            co_await there.async_acquire_lock("key", net::use_awaitable);
          },
          net::detached);
    }
    // Those that have no executor of their own are the mutex's.
    there.async_acquire_lock("key", [frames](const std::exception_ptr&, const AsyncLock&) { ADD_FAILURE(); });
    there.async_acquire_lock("key", net::detached);
    auto never = there.async_acquire_lock("key", net::use_future);
    short_lived.poll();
    ASSERT_TRUE(somebody_waits());
  }
  EXPECT_EQ(frames.use_count(), 1);
  EXPECT_TRUE(nobody_waits());
  held.release();
}

// At whatever moment it ends: answers may be on their way, and be told by other threads.
TEST_F(ASIO_SUITE, AContextMayEndWhileOperationsComplete) {
  for (int round = 0; round < 200; ++round) {
    net::io_context short_lived;
    const ours::Mutex there{short_lived, connection, patient};
    for (int i = 0; i < 8; ++i) {
      there.async_acquire_lock("key" + std::to_string(i), [](const std::exception_ptr&, const AsyncLock&) {});
    }
    std::this_thread::sleep_for(round * 2us);
  }
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
}

// Its completion is posted, and never runs.
TEST_F(ASIO_SUITE, AContextThatEndsBeforeTheCompletionGivesTheLockBack) {
  {
    net::io_context short_lived;
    const ours::Mutex there{short_lived, connection, patient};
    there.async_acquire_lock("key", [](const std::exception_ptr&, const AsyncLock&) { ADD_FAILURE() << "completed"; });
    ASSERT_TRUE(eventually(limit, [&] { return server.exists("key"); }));
  }
  EXPECT_TRUE(becomes_free());
}

TEST_F(ASIO_SUITE, TheMutexMayOutliveItsContext) {
  std::optional<net::io_context> short_lived{std::in_place};
  const ours::Mutex there{*short_lived, connection, patient};
  std::optional<AsyncLock> lock;
  there.async_acquire_lock("key", [&](const std::exception_ptr&, AsyncLock taken) { lock = std::move(taken); });
  short_lived->run();
  ASSERT_TRUE(lock);
  short_lived.reset();
  lock.reset();
  EXPECT_TRUE(becomes_free());
}

// So may a lock of a strand, and an operation that nobody waits for any more: nothing of theirs is left of the context.
TEST_F(ASIO_SUITE, WhatIsOfAStrandMayOutliveItsContext) {
  auto held = elsewhere.acquire_lock("key");
  std::vector<AsyncLock> locks;
  for (int i = 0; i < 20; ++i) {
    net::io_context short_lived;
    const ours::Mutex there{net::make_strand(short_lived), connection, patient};
    there.async_acquire_lock("other " + std::to_string(i),
                             [&](const std::exception_ptr&, AsyncLock taken) { locks.push_back(std::move(taken)); });
    short_lived.run();
    there.async_acquire_lock("key", [](const std::exception_ptr&, const AsyncLock&) {});
    short_lived.restart();
    short_lived.poll();
  }
  EXPECT_EQ(locks.size(), 20U);
  locks.clear();
  held.release();
  EXPECT_TRUE(nobody_waits());
  EXPECT_TRUE(becomes_free());
}

TEST_F(ASIO_SUITE, ATokenMayBecomeTheDefault) {
  run([&]() -> net::awaitable<void> {
    const auto defaulted = net::use_awaitable.as_default_on(ours::Mutex{mutex});
    auto lock = co_await defaulted.async_acquire_lock("key");
    EXPECT_TRUE(lock.owns_lock());
    co_await async_release(std::move(lock), net::use_awaitable);
  });
}

// ---- fork -----------------------------------------------------------------------------------------------------------

// Neither waits its context for what the parent has under way there.
TEST_F(ASIO_SUITE, AChildRunsWhatIsItsOwnAndEnds) {
  auto held = elsewhere.acquire_lock("key");
  bool told = false;
  mutex.async_acquire_lock("key", [&](const std::exception_ptr&, const AsyncLock&) { told = true; });
  ASSERT_TRUE(somebody_waits());
  const ChildProcess child = forked(context, [&] {
    const bool takes = takes_one(context, mutex, "child's");
    context.run();
    return takes && !told ? 0 : 1;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  held.release();
  context.run();
  EXPECT_TRUE(told);
  server.command({"DEL", "child's"});
}

// Whatever executors it is given, and whatever else is under way: its context is not stopped, and does not wait.
TEST_F(ASIO_SUITE, AChildOfAStrandRunsWhatIsItsOwn) {
  auto held = elsewhere.acquire_lock("key");
  const ours::BasicMutex<net::strand<net::io_context::executor_type>> in_strand{net::make_strand(context), connection,
                                                                                patient};
  in_strand.async_acquire_lock("key", [](const std::exception_ptr&, const AsyncLock&) {});
  mutex.async_acquire_lock(
      "key", net::bind_executor(net::make_strand(context), [](const std::exception_ptr&, const AsyncLock&) {}));
  std::optional<AsyncLock> other;
  mutex.async_acquire_lock("other", [&](const std::exception_ptr&, AsyncLock taken) { other = std::move(taken); });
  ASSERT_TRUE(eventually(limit, [&] {
    context.poll();
    return other.has_value();
  }));
  ours::async_lost(*other, [](const std::exception_ptr&, Loss) {});
  const ChildProcess child = forked(context, [&] {
    const bool takes = takes_one(context, in_strand, "child's");
    context.run();
    return takes ? 0 : 1;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  other.reset();
  held.release();
  context.run();
  server.command({"DEL", "child's"});
}

// What the library has for a context waits for no fork that takes its time; others' leases are not lost by that.
TEST_F(ASIO_SUITE, AForkThatTakesItsTimeHoldsUpNoRenewal) {
  const Connection another{server.url()};
  const auto renewed =
      RedisMutex{another, {.blocking = false, .expiry = 500ms, .auto_renew = true}}.acquire_lock("renewed");
  auto held = elsewhere.acquire_lock("key");
  mutex.async_acquire_lock("key", [](const std::exception_ptr&, const AsyncLock&) {});
  ASSERT_TRUE(somebody_waits());
  context.notify_fork(net::io_context::fork_prepare);
  held.release();  // to be posted
  std::this_thread::sleep_for(1500ms);
  context.notify_fork(net::io_context::fork_parent);
  EXPECT_TRUE(renewed.owns_lock());
  EXPECT_FALSE(renewed.lost_token().stop_requested());
  context.run();
}

// It has no use for the context, and tells it nothing.
TEST_F(ASIO_SUITE, AChildMayGoWithoutAWordToItsContext) {
  std::optional<net::io_context> own_context{std::in_place};
  std::optional<ours::Mutex> own{std::in_place, *own_context, connection, patient};
  std::optional<AsyncLock> lock;
  own->async_acquire_lock("key", [&](const std::exception_ptr&, AsyncLock taken) { lock = std::move(taken); });
  own_context->run();
  own_context->notify_fork(net::io_context::fork_prepare);
  const ChildProcess child{[&] {
    lock.reset();
    own.reset();
    own_context.reset();
    return 0;
  }};
  own_context->notify_fork(net::io_context::fork_parent);
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(lock->owns_lock());
}

TEST_F(ASIO_SUITE, WhatIsDueAtAForkCompletesInTheParentAlone) {
  int told = 0;
  mutex.async_acquire_lock("key", [&](const std::exception_ptr&, const AsyncLock&) { ++told; });
  ASSERT_TRUE(eventually(limit, [&] { return server.exists("key"); }));
  std::this_thread::sleep_for(20ms);  // it is posted
  const ChildProcess child = forked(context, [&] {
    context.run();
    return told;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  context.run();
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(becomes_free());
}

}  // namespace
}  // namespace redismutex::testing
