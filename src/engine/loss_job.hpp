#pragma once

#include <memory>
#include <redismutex/observer.hpp>
#include <stop_token>
#include <string>
#include <utility>

#include "protocol/key.hpp"
#include "route/callbacks.hpp"

namespace redismutex::engine {

/// Tells of one loss of a lock; owns what it needs for that.
class LossJob final : public route::Job {
 public:
  /// `callbacks`: may be none. `name`: what the Observer calls the mutex.
  LossJob(std::shared_ptr<route::Callbacks> callbacks, protocol::Key key, std::string name)
      : callbacks_{std::move(callbacks)}, key_{std::move(key)}, name_{std::move(name)} {}

  void run() noexcept override {
    source.request_stop();
    Observer* const observer = callbacks_ ? callbacks_->observer() : nullptr;
    if (observer != nullptr) observer->lock_lost({{name_, key_.text()}, why, claim});
  }

  std::stop_source source{std::nostopstate};
  Loss why = Loss::expired;
  bool claim = false;  ///< see LockLost

 private:
  const std::shared_ptr<route::Callbacks> callbacks_;
  const protocol::Key key_;
  const std::string name_;
};

}  // namespace redismutex::engine
