#pragma once

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <utility>

#include "net/fork.hpp"

namespace redismutex::net {

/// While it lives, its thread takes no signals, and neither do the threads that it starts.
class BlocksSignals {
 public:
  BlocksSignals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlocksSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlocksSignals(const BlocksSignals&) = delete;
  BlocksSignals& operator=(const BlocksSignals&) = delete;

 private:
  sigset_t before_;
};

/// Starts a thread of the library. All signals are blocked in it: a program that blocks a signal in its own threads, to read
/// it from a signalfd or in sigwait(), must not meet it here. Throws std::system_error if there is no thread to be had.
template <class Run>
std::thread start_thread(Run&& run) {
  const BlocksSignals blocked;
  return std::thread{std::forward<Run>(run)};
}

/// The same, for one whose end is waited for.
class Thread {
 public:
  Thread() = default;

  /// Throws std::bad_alloc, too.
  template <class Run>
  explicit Thread(Run run)
      : through_{std::make_shared<std::atomic<bool>>(false)},
        thread_{start_thread([run = std::move(run), through = through_] {
          run();
          *through = true;
          through->notify_all();
        })} {}

  /// Waits until it has done its work. In a child of fork() the thread itself may never end: then the C library gives back what its
  /// resolver keeps for each thread, and a thread of the parent that does not exist here may have had the lock for that.
  void join() {
    if (fork_generation() == 0) return thread_.join();
    through_->wait(false);
    thread_.detach();
  }

  void detach() { thread_.detach(); }
  bool joinable() const noexcept { return thread_.joinable(); }

 private:
  std::shared_ptr<std::atomic<bool>> through_;
  std::thread thread_;
};

}  // namespace redismutex::net
