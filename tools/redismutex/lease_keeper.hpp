#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <redismutex/lock.hpp>
#include <stop_token>
#include <string>
#include <thread>

#include "event.hpp"
#include "lease_page.hpp"
#include "lease_timing.hpp"

namespace redismutex::cli {

/// Tells the watcher until when COMMAND may run under `lock`.
void publish_lease(LeasePage& page, const Lock& lock, LeaseTiming timing) noexcept;

/// Renews a lock for as long as it lives, in a thread of its own: a renewal may wait for a slow network, and who guards
/// the command must not. While it lives, the others may only ask the Lock what is safe from any thread.
class LeaseKeeper {
 public:
  /// Throws std::system_error if there is no thread to be had.
  LeaseKeeper(Lock& lock, LeaseTiming timing, LeasePage& page);
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  /// Whether the lock is known to be gone: deleted, in other hands, or its lease has ended.
  bool lost() const noexcept { return lost_.load(); }

  /// Readable from the moment of the loss on.
  int lost_descriptor() const noexcept { return loss_.descriptor(); }

  /// Why the last renewal failed; empty if it did not.
  std::string last_failure() const;

 private:
  void keep(const std::stop_token& stop);
  std::chrono::milliseconds renew();
  void note_failure(std::string what);
  void note_loss() noexcept;

  Lock& lock_;
  LeaseTiming timing_;
  LeasePage& page_;
  Event loss_;
  std::atomic<bool> lost_ = false;
  mutable std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::string last_failure_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace redismutex::cli
