#pragma once

#include <algorithm>
#include <chrono>

#include "protocol/instant.hpp"

namespace redismutex::protocol {

/// The longest duration that is accepted anywhere: beyond it lies a mistake in units, or an overflow on some server.
constexpr std::chrono::milliseconds longest_duration = std::chrono::hours{24 * 365 * 10};

/// How far two clocks may drift apart during a lease, and the resolution of the server's expiry.
/// Source: redis.io distlock, "Is the Algorithm Asynchronous?" and "Making the algorithm more reliable".
constexpr std::chrono::nanoseconds drift(std::chrono::milliseconds expiry) {
  return std::chrono::nanoseconds{expiry} / 100 + std::chrono::milliseconds{2};
}

/// Until when a lease may be relied on. `sent_at` was read *before* the request left: the server starts its countdown
/// later, so this can only be too early.
constexpr Instant valid_until(Instant sent_at, std::chrono::milliseconds expiry) {
  return sent_at + expiry - drift(expiry);
}

/// After what time whoever was handed the lock asks for its full lease, when it has so much of the short one left. Most give
/// it back sooner, and for those there is nothing to send, and nobody to wake.
constexpr Instant::duration confirm_after(Instant::duration left) {
  return std::min<Instant::duration>(std::chrono::milliseconds{100}, left / 8);
}

/// For how long the server takes a waiter for alive that looks every `delay`: three looks may be lost or late.
constexpr std::chrono::milliseconds liveness_window(std::chrono::milliseconds delay) {
  return 3 * delay + std::chrono::milliseconds{1000};
}

/// What is left at `now`, rounded down to milliseconds, never negative.
constexpr std::chrono::milliseconds time_left(Instant valid_until, Instant now) {
  return std::max(std::chrono::floor<std::chrono::milliseconds>(valid_until - now), std::chrono::milliseconds{0});
}

}  // namespace redismutex::protocol
