#pragma once

#include <mutex>

#include "route/waker.hpp"

namespace redismutex::engine {

/// Passes wake-ups on to whatever drives an operation in the Background, for as long as that is there. Thread-safe. Its mutex comes after
/// all but the Background's.
class Bell final : public route::Waker {
 public:
  /// None: nobody drives it any more, or yet.
  void lead_to(route::Waker* driver) noexcept {
    const std::lock_guard lock{mutex_};
    driver_ = driver;
  }

  void wake() noexcept override {
    const std::lock_guard lock{mutex_};
    if (driver_ != nullptr) driver_->wake();
  }

 private:
  std::mutex mutex_;
  route::Waker* driver_ = nullptr;
};

}  // namespace redismutex::engine
