#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace redismutex::net {

/// Chooses between two ways to do the same thing again and again, by which has been the faster of late. Each is timed for a while, then the
/// faster one is used for long, and then both are timed anew, for what makes one faster may change. Used by one thread at a time.
class FasterWay {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t times = 32;       ///< so often each way is timed
  static constexpr std::size_t between = 4'096;  ///< so often the faster one is used before that

  /// What takes longer waits for something else: it does not count.
  static constexpr std::chrono::milliseconds longest{1};

  /// Returns what `go` returns, which is called once, with true for the first way.
  template <class Go>
  auto choose(Go go) {
    const bool first = is_first();
    if (!is_timing()) {
      count();
      return go(first);
    }
    const auto began = Clock::now();
    auto result = go(first);
    note(Clock::now() - began);
    return result;
  }

  bool is_first() const noexcept { return is_timing() ? turn_ < times : first_is_faster_; }
  bool is_timing() const noexcept { return turn_ < 2 * times; }

  /// The way that is being timed has taken so long.
  void note(Clock::duration took) noexcept;

 private:
  void count() noexcept { turn_ = turn_ + 1 < 2 * times + between ? turn_ + 1 : 0; }

  std::size_t turn_ = 0;  // one after the other the first way is timed, the second one, and the faster one is used
  bool first_is_faster_ = true;
  std::array<Clock::duration, times> took_{};  // the way that is being timed
  Clock::duration first_took_{};               // in the middle
};

}  // namespace redismutex::net
