#pragma once

#include <mutex>
#include <redismutex/async.hpp>
#include <utility>
#include <vector>

namespace redismutex::testing {

/// An event loop that runs what was posted when it is told to. Thread-safe.
class SlowLoop {
 public:
  Executor executor() {
    return [this](Executor::Work work) {
      const std::lock_guard lock{mutex_};
      if (!ended_) works_.push_back(std::move(work));
    };
  }

  bool has_work() {
    const std::lock_guard lock{mutex_};
    return !works_.empty();
  }

  void run() {
    for (Executor::Work& work : take()) work();
  }

  /// What was posted, and what will be, is destroyed.
  void end() {
    {
      const std::lock_guard lock{mutex_};
      ended_ = true;
    }
    take();
  }

 private:
  std::vector<Executor::Work> take() {
    const std::lock_guard lock{mutex_};
    return std::exchange(works_, {});
  }

  std::mutex mutex_;
  std::vector<Executor::Work> works_;
  bool ended_ = false;
};

}  // namespace redismutex::testing
