#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace redismutex::net {

/// How long somebody has waited in vain, for a message: " within 2000 ms (command_timeout)". `field`: the one of ConnectionOptions
/// that sets this limit; none: it is the caller's own.
inline std::string within(std::chrono::nanoseconds limit, std::string_view field = {}) {
  const auto whole = std::max(std::chrono::ceil<std::chrono::milliseconds>(limit), std::chrono::milliseconds{0});
  std::string text = " within " + std::to_string(whole.count()) + " ms";
  if (!field.empty()) text.append(" (").append(field).append(")");
  return text;
}

inline std::string within_command_timeout(std::chrono::milliseconds limit) { return within(limit, "command_timeout"); }

}  // namespace redismutex::net
