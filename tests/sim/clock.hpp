#pragma once

#include <cstdint>

#include "protocol/instant.hpp"
#include "sim/agenda.hpp"

namespace redismutex::sim {

/// A client's lease clock: it started some time ago, and runs a little fast or slow.
class Clock {
 public:
  Clock(Time ahead, std::int64_t drift_millionths) : ahead_{ahead}, drift_{drift_millionths} {}

  protocol::Instant at(Time time) const { return protocol::Instant{ahead_ + shown(time)}; }

  /// When it will show that, or a later, instant for the first time.
  Time when(protocol::Instant instant) const {
    const Time target = instant.time_since_epoch() - ahead_;
    Time guess = target;
    for (int i = 0; i < 6; ++i) guess -= shown(guess) - target;  // each brings it closer by the drift's inverse
    while (shown(guess) < target) guess += Time{1};
    while (shown(guess - Time{1}) >= target) guess -= Time{1};
    return guess;
  }

 private:
  std::int64_t drift_of(Time time) const {
    const std::int64_t ns = time.count();
    return ns / 1'000'000 * drift_ + ns % 1'000'000 * drift_ / 1'000'000;
  }
  Time shown(Time time) const { return time + Time{drift_of(time)}; }

  Time ahead_;
  std::int64_t drift_;
};

}  // namespace redismutex::sim
