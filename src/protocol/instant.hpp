#pragma once

#include <chrono>

namespace redismutex::protocol {

/// The clock that leases are counted on: it runs on while the machine sleeps (CLOCK_BOOTTIME on Linux). It has no now():
/// this layer is told the time.
struct LeaseClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LeaseClock>;
  static constexpr bool is_steady = true;
};

using Instant = LeaseClock::time_point;

/// A time that does not come.
constexpr Instant never = Instant::max();

}  // namespace redismutex::protocol
