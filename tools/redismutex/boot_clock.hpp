#pragma once

#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <chrono>

#include "descriptor.hpp"

namespace redismutex::cli {

/// CLOCK_BOOTTIME: unlike steady_clock it does not stand still while the machine is suspended, and neither does a lease.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
  }
};

/// A timer that poll() can wait for, and that goes off at once when the machine wakes up too late for it.
class BootTimer {
 public:
  BootTimer() : descriptor_{checked(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")} {}

  /// Readable after `delay`, in place of what was set before.
  void set(std::chrono::nanoseconds delay) {
    delay = std::max(delay, std::chrono::nanoseconds{1});  // 0 would switch it off
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
    const itimerspec setting{.it_interval = {}, .it_value = {seconds.count(), (delay - seconds).count()}};
    checked(::timerfd_settime(descriptor_.get(), 0, &setting, nullptr), "timerfd_settime");
  }

  /// Not readable until it is set again.
  void disarm() {
    const itimerspec setting{};
    checked(::timerfd_settime(descriptor_.get(), 0, &setting, nullptr), "timerfd_settime");
  }

  int descriptor() const noexcept { return descriptor_.get(); }

 private:
  Descriptor descriptor_;
};

}  // namespace redismutex::cli
