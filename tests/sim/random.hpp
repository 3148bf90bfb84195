#pragma once

#include <chrono>
#include <cstdint>

namespace redismutex::sim {

/// Numbers that depend on the seed alone, not on the compiler or its library. SplitMix64: Steele, Lea, Flood, OOPSLA 2014.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// 0 ... count - 1; 0 for none.
  std::uint64_t below(std::uint64_t count) { return count == 0 ? 0 : next() % count; }

  /// Both ends included.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least) + 1));
  }
  std::chrono::nanoseconds between(std::chrono::nanoseconds least, std::chrono::nanoseconds most) {
    return std::chrono::nanoseconds{between(least.count(), most.count())};
  }

  /// True so many times in a million.
  bool chance(std::uint64_t per_million) { return below(1'000'000) < per_million; }

  /// A generator of its own, so that one part of a simulation can change without all others drawing differently.
  Random fork() { return Random{next()}; }

 private:
  std::uint64_t state_;
};

}  // namespace redismutex::sim
