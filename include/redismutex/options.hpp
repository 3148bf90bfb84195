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
  /// nobody for ever. More than block_time, and at least 4 ms: 1 % + 2 ms of it are not relied on (Lock::valid_for).
  std::chrono::milliseconds expiry{7000};

  /// Keep the lease alive for as long as the Lock lives. Not available yet: std::invalid_argument.
  bool auto_renew = false;

  /// Mint a fencing token with each acquisition. Not available yet: std::invalid_argument.
  bool fencing = false;
};

}  // namespace redismutex
