#pragma once

#include <chrono>
#include <functional>

#include "locker.hpp"

namespace redismutex::bench {

struct Throughput {
  double pairs = 0;
  double seconds = 0;

  double a_second() const { return pairs / seconds; }
};

/// All take and give back at the same time, each in a thread of its own and with a key of its own. Calls `at_start` when all
/// threads are ready, just before the first pair.
Throughput work_together(
    const Lockers& crowd, std::chrono::milliseconds length, const std::function<void()>& at_start = [] {});

}  // namespace redismutex::bench
