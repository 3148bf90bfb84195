#pragma once

#include <chrono>

#include "net/poll.hpp"
#include "protocol/instant.hpp"

namespace redismutex::route {

/// CLOCK_BOOTTIME: unlike std::chrono::steady_clock it does not stand still while a Linux machine is suspended, and the
/// server's countdown does not either.
protocol::Instant now() noexcept;

/// The same point on the clock that waits are counted on.
net::Deadline deadline_at(protocol::Instant instant) noexcept;

/// What the clock on the wall shows, since 1970: for people to read, because it may be set at any time.
std::chrono::milliseconds wall_clock() noexcept;

}  // namespace redismutex::route
