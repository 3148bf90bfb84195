#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "shared/app.hpp"

namespace redismutex::cli {

struct DurationRange {
  std::chrono::milliseconds least;
  std::chrono::milliseconds most;
};

/// Reads a duration as people write it: "90" and "90s" are seconds, "200ms" milliseconds, "30m" minutes, "2h" hours, "1.5d" days. Rounds up
/// to whole milliseconds: a limit must not become none at all. Throws CLI::ValidationError, which names `option`.
std::chrono::milliseconds parse_duration(const std::string& option, const std::string& text, DurationRange range);

/// Declares the option `names` ("-w,--wait"), which takes a duration. `set` is called with it.
CLI::Option* add_duration(CLI::App& app, const std::string& names, DurationRange range,
                          std::function<void(std::chrono::milliseconds)> set, const std::string& about);

}  // namespace redismutex::cli
