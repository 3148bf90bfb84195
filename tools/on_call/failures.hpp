#pragma once

#include "server_option.hpp"

namespace redismutex::cli {

/// In a catch block: says what went wrong, and what helps, and returns the exit status for it: 64 for NoUrl and std::invalid_argument,
/// 69 for a server that is not reached, 70 for one that refuses, 77 for a login that it refuses. `name`: "redismutex status".
int say_failure(const std::string& name, const ServerOption& server) noexcept;

}  // namespace redismutex::cli
