#pragma once

#include <redismutex/asio.hpp>
//
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <exception>
#include <functional>
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

  /// Has a lock taken and given back in the context, again and again, as long as `after_each`, which is called there, returns true.
  void take_and_give(std::string key, std::function<bool()> after_each) {
    ::asio::post(context_, [this, key = std::move(key), after_each = std::move(after_each)]() mutable {
      take(std::move(key), std::move(after_each));
    });
  }

 private:
  // Handlers, because Asio 1.22 knows the coroutines of g++ only.
  void take(std::string key, std::function<bool()> after_each) const {
    mutex_.async_acquire_lock(key, [this, key, after_each = std::move(after_each)](const std::exception_ptr& error,
                                                                                   asio::AsyncLock lock) mutable {
      if (error) std::rethrow_exception(error);
      give(std::move(lock), std::move(key), std::move(after_each));
    });
  }
  void give(asio::AsyncLock lock, std::string key, std::function<bool()> after_each) const {
    async_release(std::move(lock), [this, key = std::move(key),
                                    after_each = std::move(after_each)](const std::exception_ptr& error) mutable {
      if (error) std::rethrow_exception(error);
      if (after_each()) take(std::move(key), std::move(after_each));
    });
  }

  ::asio::io_context context_{1};
  const asio::Mutex mutex_;
  ::asio::executor_work_guard<::asio::io_context::executor_type> work_{context_.get_executor()};
  std::jthread thread_{[this] { context_.run(); }};
};

}  // namespace redismutex::bench
