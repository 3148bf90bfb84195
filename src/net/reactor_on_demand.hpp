#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "net/reactor.hpp"
#include "net/workers.hpp"

namespace redismutex::net {

/// A share in the process's reactor, taken when it is first needed: whoever does nothing that needs it starts no thread.
/// Thread-safe.
class ReactorOnDemand {
 public:
  /// The first time it may throw std::system_error if there is no thread or no descriptor to be had, and std::bad_alloc.
  Reactor& get() {
    if (Reactor* const known = known_.load(std::memory_order_acquire)) return *known;
    const std::lock_guard lock{mutex_};
    if (!reactor_) reactor_ = Reactor::shared();
    known_.store(reactor_.get(), std::memory_order_release);
    return *reactor_;
  }

  /// Whether the caller is its thread, or one of its workers'.
  bool runs_this_thread() const noexcept {
    Reactor* const known = known_.load(std::memory_order_acquire);
    return known != nullptr && (known->runs_this_thread() || known->workers().runs_this_thread());
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Reactor> reactor_;
  std::atomic<Reactor*> known_{nullptr};
};

}  // namespace redismutex::net
