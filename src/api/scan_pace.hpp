#pragma once

#include <chrono>
#include <cstddef>

namespace redismutex::api {

/// How many keys a scan asks the server to look at in one step: as many as take it about 0.3 ms, in which it does nothing else. What a
/// key costs differs by a factor of ten between servers and databases, so it is measured as the scan goes.
class ScanPace {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// A step that takes the server longer is followed by one of half as many keys.
  static constexpr std::chrono::microseconds target{400};

  /// Fewer keys are not worth a request. A server is not ten times as slow as others, so these do not take a millisecond.
  static constexpr std::size_t fewest = 100;

  /// Where the network takes longer than this for a request that costs nothing, its own variation hides what the server takes: then each
  /// step has `unmeasured` keys.
  static constexpr std::chrono::milliseconds longest_trip{1};
  static constexpr std::size_t unmeasured = 250;

  /// `most`: what the caller allows; `trip`: how long a request takes that costs the server nothing.
  ScanPace(std::size_t most, Duration trip);

  /// Keys in the next step.
  std::size_t count() const noexcept { return count_; }

  /// The last step, from the request to the answer.
  void note(Duration took);

 private:
  const std::size_t most_;
  const Duration trip_;
  const bool measures_;
  std::size_t count_;
};

}  // namespace redismutex::api
