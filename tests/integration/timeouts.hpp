#pragma once

#include <chrono>
#include <redismutex/redismutex.hpp>
#include <string_view>
#include <utility>

#include "support/limits.hpp"

namespace redismutex::testing {

/// The two time limits of a connection: tests of what fails set short ones, tests of what heals long ones.
struct Timeouts {
  std::chrono::milliseconds connect, command;

  std::chrono::milliseconds sum() const { return connect + command; }
};

constexpr Timeouts long_timeouts{.connect = limit, .command = limit};

inline ConnectionOptions with(Timeouts timeouts, ConnectionOptions options) {
  options.connect_timeout = timeouts.connect;
  options.command_timeout = timeouts.command;
  return options;
}

inline Connection connect(std::string_view url, Timeouts timeouts) {
  return Connection{with(timeouts, parse_url(url))};
}

}  // namespace redismutex::testing
