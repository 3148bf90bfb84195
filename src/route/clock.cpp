#include "route/clock.hpp"

#include <ctime>

namespace redismutex::route {

protocol::Instant now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return protocol::Instant{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

net::Deadline deadline_at(protocol::Instant instant) noexcept {
  // In this order, so that a wait can not end before the instant.
  const auto left = instant - now();
  const net::Deadline here = net::Deadline::clock::now();
  return left < net::Deadline::max() - here ? here + left : net::Deadline::max();
}

std::chrono::milliseconds wall_clock() noexcept {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace redismutex::route
