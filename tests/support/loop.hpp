#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <redismutex/async.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace redismutex::testing {

/// An event loop: threads that run what they are given, in order, and in time. Thread-safe.
class Loop {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Loop(int threads = 1) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
  ~Loop() { end(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void post(Executor::Work work) {
    {
      const std::lock_guard lock{mutex_};
      if (!ended_) works_.push_back(std::move(work));
    }
    changed_.notify_one();
  }

  Executor executor() {
    return [this](Executor::Work work) { post(std::move(work)); };
  }

  /// Not before that time, and soon after it. What it throws ends the process.
  void call_at(Clock::time_point when, std::function<void()> what) {
    {
      const std::lock_guard lock{mutex_};
      if (!ended_) calls_.emplace(when, std::move(what));
    }
    changed_.notify_one();
  }

  /// For a coroutine of the loop, to be awaited.
  auto sleep(std::chrono::nanoseconds length) {
    struct Sleep {
      Loop& loop;
      Clock::time_point until;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> coroutine) const {
        loop.call_at(until, [coroutine] { coroutine.resume(); });
      }
      void await_resume() const noexcept {}
    };
    return Sleep{*this, Clock::now() + length};
  }

  /// What it has not run by then is destroyed, and so is what comes later.
  void end() {
    std::deque<Executor::Work> left;
    std::multimap<Clock::time_point, std::function<void()>> uncalled;
    {
      const std::lock_guard lock{mutex_};
      ended_ = true;
      left.swap(works_);
      uncalled.swap(calls_);
    }
    threads_.clear();
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
      if (!calls_.empty() && calls_.begin()->first <= Clock::now()) {
        auto call = calls_.extract(calls_.begin());
        lock.unlock();
        call.mapped()();
        call = {};
        lock.lock();
      } else if (!works_.empty()) {
        Executor::Work work = std::move(works_.front());
        works_.pop_front();
        lock.unlock();
        work();
        lock.lock();
      } else if (calls_.empty()) {
        changed_.wait(lock, stop, [this] { return !works_.empty() || !calls_.empty(); });
      } else {
        const auto next = calls_.begin()->first;
        changed_.wait_until(lock, stop, next,
                            [this, next] { return !works_.empty() || calls_.empty() || calls_.begin()->first < next; });
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Executor::Work> works_;
  std::multimap<Clock::time_point, std::function<void()>> calls_;
  bool ended_ = false;
  std::vector<std::jthread> threads_;
};

/// A coroutine that begins at once, and whose frame belongs to this. For one that is not awaited.
class Coroutine {
 public:
  struct promise_type {
    std::promise<void> ended;

    Coroutine get_return_object() { return Coroutine{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Tells {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> coroutine) const noexcept {
          // Its owner may destroy the frame as soon as it knows.
          std::promise<void> ended = std::move(coroutine.promise().ended);
          if (auto error = std::exchange(coroutine.promise().error, nullptr)) {
            ended.set_exception(std::move(error));
          } else {
            ended.set_value();
          }
        }
        void await_resume() const noexcept {}
      };
      return Tells{};
    }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }

    std::exception_ptr error;
  };

  Coroutine(Coroutine&& other) noexcept
      : handle_{std::exchange(other.handle_, nullptr)}, ended_{std::move(other.ended_)} {}
  Coroutine& operator=(Coroutine&&) = delete;
  ~Coroutine() { destroy(); }

  void destroy() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

  /// Waits for its end. Throws what it has thrown.
  void get() { ended_.get(); }
  bool has_ended() const { return ended_.wait_for(std::chrono::seconds{0}) == std::future_status::ready; }
  template <class Duration>
  bool ends_within(Duration time) const {
    return ended_.wait_for(time) == std::future_status::ready;
  }

 private:
  explicit Coroutine(std::coroutine_handle<promise_type> handle)
      : handle_{handle}, ended_{handle.promise().ended.get_future()} {}

  std::coroutine_handle<promise_type> handle_;
  std::future<void> ended_;
};

/// Waits for an operation, in a thread that may block.
template <class T>
T wait_for(Operation<T> operation) {
  std::promise<Outcome<T>> promise;
  std::future<Outcome<T>> outcome = promise.get_future();
  std::move(operation).start([&promise](Outcome<T> how) { promise.set_value(std::move(how)); });
  return outcome.get().get();
}

}  // namespace redismutex::testing
