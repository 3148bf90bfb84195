#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex ls`: which mutexes there are.
Run add_ls(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
