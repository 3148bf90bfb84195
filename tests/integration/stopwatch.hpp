#pragma once

#include <algorithm>
#include <chrono>
#include <limits>
#include <redismutex/errors.hpp>

namespace redismutex::testing {

/// Runs from its making.
class Stopwatch {
 public:
  /// Rounded down: compare with GE to prove that a time has passed.
  long long elapsed_ms() const {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The shortest of many measurements in milliseconds, up to the first one that is at most `good_enough`: what the code
/// takes by itself, on a machine that is sometimes busy with something else, perhaps for seconds; perhaps so busy that a
/// server did not even get to answer once within a short time limit, which is a ConnectionError.
template <class Measurement>
long long best_ms(long long good_enough, Measurement measure) {
  constexpr long long patience_ms = 20'000;
  const Stopwatch watch;
  long long best = std::numeric_limits<long long>::max();
  while (best > good_enough && watch.elapsed_ms() < patience_ms) {
    try {
      best = std::min<long long>(best, measure());
    } catch (const ConnectionError&) {
    }
  }
  return best;
}

}  // namespace redismutex::testing
