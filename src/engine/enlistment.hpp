#pragma once

#include <atomic>
#include <mutex>

#include "route/background.hpp"

namespace redismutex::engine {

/// That a duty is run in the Background: from its first need on, until it is closed. Thread-safe.
class Enlistment {
 public:
  /// Both must outlive it.
  Enlistment(route::Background& background, route::Background::Duty& duty) noexcept
      : background_{background}, duty_{duty} {}

  /// Whether it is run, as before close(). Throws as Background::enlist().
  bool enlist() {
    if (enlisted_) return true;
    const std::lock_guard lock{mutex_};
    if (closed_) return false;
    if (!enlisted_) background_.enlist(duty_);
    return enlisted_ = true;
  }
  bool is_enlisted() const noexcept { return enlisted_; }

  /// It is not run any more. Whether it was.
  bool close() noexcept {
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      if (!enlisted_.exchange(false)) return false;
    }
    background_.withdraw(duty_);
    return true;
  }

 private:
  route::Background& background_;
  route::Background::Duty& duty_;
  std::mutex mutex_;  // taken with no other one held
  std::atomic<bool> enlisted_{false};
  bool closed_ = false;
};

}  // namespace redismutex::engine
