#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex break`: takes a mutex from its holder, or a place from one that waits.
Run add_break(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
