// A pipeline of coroutines without a framework: it asks between two steps whether it may go on, and stops when the lock is lost.

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <iostream>
#include <mutex>
#include <redismutex/async.hpp>
#include <redismutex/redismutex.hpp>
#include <utility>

namespace {

/// A loop in one thread: what a framework has.
class Loop {
 public:
  void post(redismutex::Executor::Work work) {
    const std::lock_guard lock{mutex_};
    works_.push_back(std::move(work));
    changed_.notify_one();
  }

  void run_until(const bool& over) {
    while (!over) {
      std::unique_lock lock{mutex_};
      changed_.wait(lock, [this] { return !works_.empty(); });
      redismutex::Executor::Work work = std::move(works_.front());
      works_.pop_front();
      lock.unlock();
      work();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<redismutex::Executor::Work> works_;
};

/// The simplest coroutine: it begins at once, and nobody awaits it.
struct Detached {
  struct promise_type {  // NOLINT(readability-identifier-naming): the language calls it so
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Detached run_pipeline(const redismutex::AsyncMutex& mutex, bool& well, bool& over) {
  try {
    redismutex::AsyncLock lock = co_await mutex.acquire_lock("pipeline");
    for (const char* step : {"fetch", "sort", "store"}) {
      if (!lock.owns_lock()) throw std::runtime_error{"lost the lock before the step " + std::string{step}};
      std::cout << step << '\n';
      co_await lock.extend();  // a fresh lease for each step
    }
    co_await lock.release();
    well = true;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  over = true;
}

}  // namespace

int main() try {
  Loop loop;
  const redismutex::AsyncMutex mutex{
      redismutex::Connection{}, {}, [&loop](redismutex::Executor::Work work) { loop.post(std::move(work)); }};
  bool well = false, over = false;
  run_pipeline(mutex, well, over);
  loop.run_until(over);
  return well ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
