#pragma once

#include <chrono>
#include <string>

namespace redismutex::cli {

struct SecondsRange {
  std::chrono::milliseconds least;
  std::chrono::milliseconds most;
};

// Both round up to whole milliseconds: a limit must not become none at all. Both throw CLI::ValidationError, which names `option`.

/// Reads seconds with or without a fraction.
std::chrono::milliseconds parse_seconds(const std::string& option, const std::string& text, SecondsRange range);

/// Reads a duration as people write it: "90" and "90s" are seconds, "30m" minutes, "2h" hours, "1.5d" days.
std::chrono::milliseconds parse_duration(const std::string& option, const std::string& text, SecondsRange range);

}  // namespace redismutex::cli
