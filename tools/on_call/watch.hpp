#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex watch`: mutexes as they change, on the whole screen; where there is no terminal, a line for each change.
Run add_watch(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
