#pragma once

#include <chrono>
#include <cstdint>

#include "net/pause.hpp"
#include "protocol/instant.hpp"

namespace redismutex::route {

using net::jittered_pause;

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

}  // namespace redismutex::route
