#pragma once

#include <csignal>
#include <thread>
#include <utility>

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

}  // namespace redismutex::net
