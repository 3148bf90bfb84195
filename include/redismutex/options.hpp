#pragma once

#include <chrono>

namespace redismutex {

/// How a RedisMutex behaves. The defaults are those of the Python library that this one descends from.
struct Options {
  /// Whether acquire_lock waits for a taken lock.
  bool blocking = true;

  /// How long a blocking acquire_lock waits before it throws BlockTimeExceedError. Honoured to the millisecond.
  std::chrono::milliseconds block_time{5000};

  /// How often a waiter looks at the server by itself. Less than block_time.
  std::chrono::milliseconds delay{500};

  /// The lease: after this time without release or extend() the server frees the lock, so that a dead owner blocks
  /// nobody for ever. More than block_time.
  std::chrono::milliseconds expiry{7000};

  /// How many may wait for one key at the server, this process's included (a process counts once, however many of its
  /// threads wait); who comes later gets a MutexLockError at once.
  int max_waiters = 10000;

  /// Threads of this process that want the same key pass the lock on among themselves, without the network; as often in
  /// a row as this while another process waits too. 0: each thread waits at the server by itself.
  int local_handoffs = 16;

  /// Keep the lease alive for as long as the Lock lives. Not available yet: std::invalid_argument.
  bool auto_renew = false;

  /// Mint a fencing token with each acquisition. Not available yet: std::invalid_argument.
  bool fencing = false;
};

}  // namespace redismutex
