#pragma once

#include <chrono>
#include <cstddef>
#include <iosfwd>

#include "histories/history.hpp"

namespace redismutex::histories {

/// Prints the last `count` events up to `time`, and what comes right behind it, for a reader: one a line, times in seconds,
/// ids short.
void print_trace(std::ostream& out, const History& history, std::chrono::nanoseconds time, std::size_t count);

}  // namespace redismutex::histories
