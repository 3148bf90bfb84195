#pragma once

#include <chrono>
#include <string>

#include "shared/parser.hpp"

namespace redismutex::cli {

/// Reads a duration as people write it: "90" and "90s" are seconds, "30m" minutes, "2h" hours, "1.5d" days. Rounds up to whole
/// milliseconds. Throws CLI::ValidationError, which names `option`.
std::chrono::milliseconds parse_duration(const std::string& option, const std::string& text, SecondsRange range);

}  // namespace redismutex::cli
