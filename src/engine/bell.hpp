#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "net/poll.hpp"

namespace redismutex::engine {

/// What one thread sleeps on, and others ring. It may go as soon as its thread wants, even while it is being rung: who has
/// rung it wakes the thread by the bell's address alone, see net::futex_wake_one().
class Bell {
 public:
  Bell() = default;
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  enum class Ring {
    to_look,   ///< something has changed
    for_good,  ///< and nobody will ring again: the thread may go on, and the bell be gone, without a look under a lock
  };

  /// What was changed before this is seen by the thread when it wakes. Returns whom to wake: none if nobody sleeps.
  const std::atomic<std::uint32_t>* ring(Ring how = Ring::to_look) noexcept;

  void ring_and_wake() noexcept;

  /// For its thread: sleeps until it is rung, which it may have been already, or until the deadline. Whether it was rung for
  /// good.
  bool sleep(net::Deadline deadline) noexcept;

 private:
  enum State : std::uint32_t { quiet = 0, rung = 1, rung_for_good = 2, asleep = 4 };

  std::atomic<std::uint32_t> state_{quiet};
};

/// Those to wake when a lock is free again, so that they do not run into it. Make it before the lock.
class Wakeups {
 public:
  Wakeups() = default;
  ~Wakeups();
  Wakeups(const Wakeups&) = delete;
  Wakeups& operator=(const Wakeups&) = delete;

  /// Rings the bell now. At most two.
  void add(Bell& bell, Bell::Ring how = Bell::Ring::to_look) noexcept;

 private:
  std::array<const std::atomic<std::uint32_t>*, 2> sleepers_{};
  std::size_t count_ = 0;
};

}  // namespace redismutex::engine
