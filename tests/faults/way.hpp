#pragma once

#include <chrono>
#include <coroutine>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "support/loop.hpp"

namespace redismutex::faults {

/// What is awaited, and is there already.
template <class T>
struct There {
  T value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  T await_resume() { return std::move(value); }
};

/// How a client waits: its thread does, and what it awaits is there when the call returns.
class ByThread {
 public:
  using Mutex = RedisMutex;
  using Lock = redismutex::Lock;

  RedisMutex mutex(const Connection& connection, Options options) const {
    return RedisMutex{connection, std::move(options)};
  }

  auto sleep(std::chrono::nanoseconds length) const {
    std::this_thread::sleep_for(length);
    return std::suspend_never{};
  }
  There<std::optional<Lock>> attempt(const Mutex& mutex, const std::string& key) const {
    return {mutex.try_acquire_lock(key)};
  }
  There<std::optional<Lock>> attempt(const Mutex& mutex, const std::string& key, std::chrono::milliseconds limit,
                                     std::stop_token stop = {}) const {
    return {mutex.try_acquire_lock_for(key, limit, std::move(stop))};
  }
  There<Lock> acquire(const Mutex& mutex, const std::string& key) const { return {mutex.acquire_lock(key)}; }
  auto extend(Lock& lock) const {
    lock.extend();
    return std::suspend_never{};
  }
  auto release(Lock& lock) const {
    lock.release();
    return std::suspend_never{};
  }
  std::jthread stop_after(std::chrono::nanoseconds time, std::stop_source stop) const {
    return std::jthread{[time, stop = std::move(stop)]() mutable {
      std::this_thread::sleep_for(time);
      stop.request_stop();
    }};
  }
};

/// The client is a coroutine, of which some share a loop.
class ByLoop {
 public:
  using Mutex = AsyncMutex;
  using Lock = AsyncLock;

  explicit ByLoop(testing::Loop& loop) : loop_{&loop} {}

  AsyncMutex mutex(const Connection& connection, Options options) const {
    return AsyncMutex{connection, std::move(options), loop_->executor()};
  }

  auto sleep(std::chrono::nanoseconds length) const { return loop_->sleep(length); }
  auto attempt(const Mutex& mutex, const std::string& key) const { return mutex.try_acquire_lock(key); }
  auto attempt(const Mutex& mutex, const std::string& key, std::chrono::milliseconds limit,
               std::stop_token stop = {}) const {
    return mutex.try_acquire_lock_for(key, limit, std::move(stop));
  }
  auto acquire(const Mutex& mutex, const std::string& key) const { return mutex.acquire_lock(key); }
  auto extend(Lock& lock) const { return lock.extend(); }
  auto release(Lock& lock) const { return lock.release(); }
  std::monostate stop_after(std::chrono::nanoseconds time, std::stop_source stop) const {
    loop_->call_at(testing::Loop::Clock::now() + time, [stop = std::move(stop)]() mutable { stop.request_stop(); });
    return {};
  }

 private:
  testing::Loop* loop_;
};

}  // namespace redismutex::faults
