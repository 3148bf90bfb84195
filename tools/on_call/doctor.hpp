#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex doctor`: whether a server is set up for locks, and what to do about it.
Run add_doctor(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
