#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "signals.hpp"

namespace redismutex::cli {

/// Starts redis-server or, if there is none, valkey-server, with these arguments: in a session of its own, so that what
/// the terminal sends does not reach it, with no input and output, and with none of this program's descriptors. Returns
/// its pid; nothing if neither is installed.
std::optional<pid_t> spawn_server(const std::vector<std::string>& arguments, const Signals& signals);

}  // namespace redismutex::cli
