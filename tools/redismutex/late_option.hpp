#pragma once

#include <string>
#include <vector>

namespace redismutex::cli {

/// For a COMMAND that looks like an option, and so was perhaps meant for us; else empty.
inline std::string advice_on_late_option(const std::vector<std::string>& command) {
  const bool is_option = !command.empty() && command.front().starts_with('-');
  return is_option ? " (options of redismutex itself go before KEY)" : "";
}

}  // namespace redismutex::cli
