#pragma once

#include <redismutex/asio.hpp>
//
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <string>
#include <thread>
#include <utility>

namespace redismutex::bench {

/// An Asio mutex, its context, which one thread runs, and a Connection of its own.
class AsioSite {
 public:
  explicit AsioSite(const std::string& url) : mutex_{context_, Connection{url}} {}
  AsioSite(const AsioSite&) = delete;
  AsioSite& operator=(const AsioSite&) = delete;
  ~AsioSite() { work_.reset(); }

  const asio::Mutex& mutex() const noexcept { return mutex_; }

  void spawn(::asio::awaitable<void> coroutine) { ::asio::co_spawn(context_, std::move(coroutine), ::asio::detached); }

 private:
  ::asio::io_context context_{1};
  const asio::Mutex mutex_;
  ::asio::executor_work_guard<::asio::io_context::executor_type> work_{context_.get_executor()};
  std::jthread thread_{[this] { context_.run(); }};
};

}  // namespace redismutex::bench
