#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

namespace redismutex::testing {

/// What the machine took from a thread that wanted to run every millisecond: a test that measures times asks whether a long one may be
/// the machine's fault.
class Stalls {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// In all so far, of what is more than usual.
  Duration so_far() const noexcept { return Duration{sum_.load()}; }

 private:
  static constexpr Duration nap = std::chrono::milliseconds{1};
  static constexpr Duration usual = std::chrono::milliseconds{1};

  void watch(const std::stop_token& stop) {
    auto last = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(nap);
      const auto now = std::chrono::steady_clock::now();
      sum_ += std::max(Duration::zero(), now - last - nap - usual).count();
      last = now;
    }
  }

  std::atomic<Duration::rep> sum_{0};
  std::jthread watcher_{[this](const std::stop_token& stop) { watch(stop); }};
};

}  // namespace redismutex::testing
