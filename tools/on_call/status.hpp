#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex status`: who holds the mutexes with certain keys, and who waits for them.
Run add_status(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
