#pragma once

#include "subcommand.hpp"

namespace redismutex::cli {

/// `redismutex bench`: how long locks take on a server, beside the bare round trip.
Run add_bench(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
