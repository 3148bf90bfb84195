// A service on Asio that works for several tenants at a time, and for each of them in one process at a time. Start it twice.

#include <chrono>
#include <exception>
#include <iostream>
#include <redismutex/asio.hpp>
#include <string>
//
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using redismutex::asio::Mutex;

namespace {

/// The work itself: steps that take their time.
asio::awaitable<void> bill(std::string tenant) {
  asio::steady_timer step{co_await asio::this_coro::executor};
  for (int i = 1; i <= 3; ++i) {
    step.expires_after(50ms);
    co_await step.async_wait(asio::use_awaitable);
    std::cout << tenant << ": step " << i << " of 3\n";
  }
}

/// Ends in any case, with what the steps have thrown: `||` waits for one that succeeds, and nobody has lost the lock when the steps fail.
asio::awaitable<std::exception_ptr> ended(asio::awaitable<void> steps) {
  try {
    co_await std::move(steps);
    co_return nullptr;
  } catch (...) {
    co_return std::current_exception();
  }
}

/// Stops in the middle when the lock is lost: then another process may have begun.
asio::awaitable<void> serve(const Mutex& mutex, std::string tenant) {
  auto lock = co_await mutex.async_acquire_lock("billing:" + tenant, asio::use_awaitable);
  const auto first = co_await (ended(bill(tenant)) || async_lost(lock, asio::use_awaitable));
  if (first.index() == 1) throw std::runtime_error{"lost the lock of " + tenant + " amid the steps"};
  if (const auto& error = std::get<0>(first)) std::rethrow_exception(error);
  co_await async_release(std::move(lock), asio::use_awaitable);
}

}  // namespace

int main() try {
  asio::io_context context;
  const Mutex mutex{context, redismutex::Connection{}, {.auto_renew = true}};
  bool well = true;
  for (const std::string tenant : {"blue", "green", "red"}) {
    asio::co_spawn(context, serve(mutex, tenant), [&well](const std::exception_ptr& error) {
      if (!error) return;
      well = false;
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& reason) {
        std::cerr << reason.what() << '\n';
      }
    });
  }
  context.run();
  return well ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
