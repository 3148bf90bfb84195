#pragma once

#include <chrono>
#include <span>

#include "net/socket.hpp"

namespace redismutex::net {

/// When a wait ends at the latest. Waits are counted on the monotonic clock; leases are not (see route/environment.hpp).
using Deadline = std::chrono::steady_clock::time_point;

/// What something waits for that goes on in steps: its descriptor is to be ready for `events` (POLLIN, POLLOUT) or in error, or
/// the time is to come, whichever is first.
struct Awaited {
  int fd;
  short events;
  Deadline until = Deadline::max();
};

/// Interrupts a thread that polls. Any thread may call kick().
class Kick {
 public:
  /// Throws std::system_error if there is no descriptor to be had.
  Kick();
  void kick() const noexcept;
  void clear() const noexcept;
  int fd() const noexcept { return event_.get(); }

 private:
  Socket event_;
};

/// Several of them at once.
class AnyOf {
 public:
  /// What is ready when one of them is, and until the earliest of their times. Holds until the next call. Throws std::system_error if
  /// there is no descriptor to be had.
  Awaited await(std::span<const Awaited> all);

 private:
  Socket together_;
};

enum class Polled { ready, kicked, timed_out };

/// Waits until the descriptor is ready or in error, the time has come, or the kick fires. Without a kick nothing interrupts it.
Polled poll_until(const Awaited& awaited, const Kick* kick);

}  // namespace redismutex::net
