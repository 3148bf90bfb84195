// The standalone Asio. See asio_promises.hpp; here is what only newer ones have.

#include <redismutex/asio.hpp>
//
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#define ASIO_SUITE Asio
namespace net = ::asio;
namespace ours = ::redismutex::asio;
#include "asio_promises.hpp"

namespace redismutex::testing {
namespace {

TEST_F(Asio, ACancellationSlotEndsAWait) {
  auto held = elsewhere.acquire_lock("key");
  net::cancellation_signal signal;
  std::exception_ptr error;
  mutex.async_acquire_lock(
      "key", net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr why, const AsyncLock& lock) {
        EXPECT_FALSE(lock.owns_lock());
        error = std::move(why);
      }));
  ASSERT_TRUE(somebody_waits());
  signal.emit(net::cancellation_type::terminal);
  context.run();
  EXPECT_THROW(std::rethrow_exception(error), LockCancelled);
  EXPECT_TRUE(nobody_waits());
}

TEST_F(Asio, ACancellationSlotEndsASingleTry) {
  server.pause();
  net::cancellation_signal signal;
  std::exception_ptr error;
  mutex.async_try_acquire_lock(
      "key",
      net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr why, const std::optional<AsyncLock>& lock) {
        EXPECT_FALSE(lock);
        error = std::move(why);
      }));
  signal.emit(net::cancellation_type::terminal);
  context.run();
  server.resume();
  ASSERT_TRUE(error);
  EXPECT_THROW(std::rethrow_exception(error), LockCancelled);
}

TEST_F(Asio, ATimerEndsAWait) {
  using namespace net::experimental::awaitable_operators;
  auto held = elsewhere.acquire_lock("key");
  run([this]() -> net::awaitable<void> {
    net::steady_timer timer{context, 20ms};
    const auto first =
        co_await (mutex.async_acquire_lock("key", net::use_awaitable) || timer.async_wait(net::use_awaitable));
    EXPECT_EQ(first.index(), 1U);
  });
  EXPECT_TRUE(nobody_waits());
}

TEST_F(Asio, ALossEndsTheWork) {
  using namespace net::experimental::awaitable_operators;
  run([this]() -> net::awaitable<void> {
    auto lock = co_await mutex.async_acquire_lock("key", net::use_awaitable);
    server.command({"DEL", "key"});
    net::steady_timer work{context, limit};
    const auto first = co_await (work.async_wait(net::use_awaitable) || async_lost(lock, net::use_awaitable));
    EXPECT_EQ(first.index(), 1U);
  });
}

TEST_F(Asio, ATupleHasTheErrorInIt) {
  auto held = elsewhere.acquire_lock("key");
  run([this]() -> net::awaitable<void> {
    const ours::Mutex hasty{context, connection, {.block_time = 200ms}};
    const auto [error, lock] =
        co_await hasty.async_acquire_lock("key", net::experimental::as_tuple(net::use_awaitable));
    EXPECT_TRUE(error);
    EXPECT_FALSE(lock.owns_lock());
  });
}

}  // namespace
}  // namespace redismutex::testing
