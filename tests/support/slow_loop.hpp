#pragma once

#include <cstddef>
#include <mutex>
#include <redismutex/async.hpp>
#include <utility>
#include <vector>

namespace redismutex::testing {

/// An event loop that runs what was posted when it is told to. Thread-safe.
class SlowLoop {
 public:
  void post(Executor::Work work) {
    const std::lock_guard lock{mutex_};
    if (!ended_) works_.push_back(std::move(work));
  }

  Executor executor() {
    return [this](Executor::Work work) { post(std::move(work)); };
  }

  bool has_work() {
    const std::lock_guard lock{mutex_};
    return !works_.empty();
  }

  void run() {
    for (Executor::Work& work : take()) work();
  }

  /// What was posted first is destroyed.
  void drop_first() {
    std::vector<Executor::Work> works = take();
    for (std::size_t i = 1; i < works.size(); ++i) post(std::move(works[i]));
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
