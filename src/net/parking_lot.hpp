#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "net/poll.hpp"

namespace redismutex::net {

/// Where the threads of a Link sleep, so that whoever has answers for many wakes them with a system call for every
/// thirty-two instead of one for each. What a thread waits for it keeps elsewhere: here it only sleeps, and may wake for no
/// reason. A thread may also sleep apart, on a word of its own. Thread-safe but for assign().
///
///     waits:   generation = lot.generation(spot); if (!ready) lot.park(spot, generation, deadline);
///     wakes:   ready = true; lot.unpark({spot});
class ParkingLot {
 public:
  /// Thirty-two neighbours share a word that they sleep on, each with a bit of its own. Beyond `spots` threads some share a
  /// spot, and wake for each other.
  using Spot = std::uint32_t;
  static constexpr Spot spots = 2048;

  /// The next spot. Those who were assigned theirs one after the other are neighbours. For one thread at a time.
  Spot assign() noexcept { return last_++ % spots; }

  /// Changes whenever somebody is woken there. To be asked before the thread looks whether it may sleep.
  std::uint32_t generation(Spot spot) const noexcept { return word(spot).load(std::memory_order_acquire); }

  /// Sleeps until unpark(), unless there was one since that generation, or the deadline; false at the deadline.
  bool park(Spot spot, std::uint32_t generation, Deadline deadline) noexcept;

  /// Where a thread sleeps.
  struct Sleeping {
    Spot spot = 0;                                      ///< here
    const std::atomic<std::uint32_t>* apart = nullptr;  ///< else on this word, which is used as futex_wake_one() does
  };

  void unpark(const Sleeping& thread) noexcept;

  /// Those who are to be woken together, at its end.
  class Wakeups {
   public:
    explicit Wakeups(ParkingLot& lot) noexcept : lot_{lot} {}
    ~Wakeups() { wake(); }
    Wakeups(const Wakeups&) = delete;
    Wakeups& operator=(const Wakeups&) = delete;

    void add(const Sleeping& thread) noexcept;

   private:
    void wake() noexcept;

    ParkingLot& lot_;
    Spot word_ = 0;           // of those collected so far
    std::uint32_t bits_ = 0;  // none: nobody
  };

 private:
  static constexpr Spot word_size = 32;

  static std::uint32_t bit_of(Spot spot) noexcept { return std::uint32_t{1} << spot % word_size; }
  const std::atomic<std::uint32_t>& word(Spot spot) const noexcept { return words_[spot / word_size]; }
  void wake(Spot word, std::uint32_t bits) noexcept;

  std::array<std::atomic<std::uint32_t>, spots / word_size> words_{};
  Spot last_ = 0;
};

}  // namespace redismutex::net
