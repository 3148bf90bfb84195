#pragma once

#include <condition_variable>
#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <redismutex/async.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace redismutex::bench {

/// An event loop that does nothing else: one thread that runs what was posted since it last looked. Thread-safe.
class EventLoop {
 public:
  EventLoop() = default;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() { queue_->end(); }

  Executor executor() {
    return [queue = queue_](Executor::Work work) { queue->post(std::move(work)); };
  }

 private:
  /// Who posts may be in post() yet when the loop has gone.
  class Queue {
   public:
    void post(Executor::Work work) {
      {
        const std::lock_guard lock{mutex_};
        works_.push_back(std::move(work));
      }
      changed_.notify_one();  // without the lock, which the thread that wakes would wait for
    }

    void end() {
      {
        const std::lock_guard lock{mutex_};
        is_over_ = true;
      }
      changed_.notify_one();
    }

    void run() {
      std::vector<Executor::Work> due;
      for (;;) {
        {
          std::unique_lock lock{mutex_};
          changed_.wait(lock, [this] { return is_over_ || !works_.empty(); });
          if (is_over_) return;
          due.swap(works_);
        }
        for (Executor::Work& work : due) work();
        due.clear();
      }
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Executor::Work> works_;
    bool is_over_ = false;
  };

  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  std::jthread thread_{[queue = queue_] { queue->run(); }};
};

/// A coroutine that begins at once, and that nobody waits for: its frame goes when it ends. What it throws ends the process.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

}  // namespace redismutex::bench
