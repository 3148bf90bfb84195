#pragma once

#include <chrono>
#include <functional>

#include "sim/agenda.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

/// How a simulation goes on: what happens in it now and then, and its end.
class Course {
 public:
  explicit Course(Fate& fate) : fate_{fate} {}

  /// Once in about this time, until the end; never if zero.
  void every(Time mean, const std::function<void()>& trouble) {
    if (mean == Time{0}) return;
    fate_.agenda.after(fate_.random.between(Time{0}, 2 * mean), [this, mean, trouble] {
      if (over_) return;
      trouble();
      every(mean, trouble);
    });
  }

  /// False: that does not come about.
  template <class Condition>
  bool run_until(Condition condition) {
    Time at{0};
    int steps = 0;
    while (!condition()) {
      if (!fate_.agenda.step(longest_run)) return false;
      steps = fate_.agenda.now() == at ? steps + 1 : 0;
      at = fate_.agenda.now();
      if (steps > most_steps_at_once) return false;
    }
    return true;
  }

  /// No trouble begins any more.
  void end() noexcept { over_ = true; }

 private:
  static constexpr Time longest_run = std::chrono::hours{2};
  static constexpr int most_steps_at_once = 100'000;

  Fate& fate_;
  bool over_ = false;
};

}  // namespace redismutex::sim
