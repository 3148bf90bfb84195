#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/fork.hpp"
#include "net/pause.hpp"
#include "net/poll.hpp"
#include "protocol/instant.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::route {

// For the engine, which does not include net.
using net::fork_generation;
using net::jittered_pause;
using net::leave_alone;

/// What comes from outside, so that a run can be repeated: time and chance. Thread-safe.
class Environment {
 public:
  /// On the clock that leases are counted on.
  virtual protocol::Instant now() const noexcept = 0;

  /// What the clock on the wall shows, since 1970: for people to read, because it may be set at any time.
  virtual std::chrono::milliseconds wall_clock() const noexcept = 0;

  /// Bits that no other process, thread or child has. Throws std::system_error if there are none to be had.
  virtual std::uint64_t random_bits() = 0;

 protected:
  ~Environment() = default;
};

/// The operating system's.
Environment& operating_system() noexcept;

/// Its time. CLOCK_BOOTTIME: unlike std::chrono::steady_clock it does not stand still while a Linux machine is suspended, and the
/// server's countdown does not either.
protocol::Instant now() noexcept;

/// The same point on the clock that waits are counted on. `now`: read before.
net::Deadline deadline_at(protocol::Instant instant, protocol::Instant now) noexcept;
inline net::Deadline deadline_at(protocol::Instant instant) noexcept { return deadline_at(instant, now()); }

/// So many random digits and letters of both cases.
std::string random_word(Environment& environment, std::size_t size);

/// An id for one acquisition, of this moment.
protocol::OwnerId new_owner_id(Environment& environment, protocol::Tag tag);

}  // namespace redismutex::route
