#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "server_option.hpp"

namespace redismutex::cli {

/// Does what the words ask for, once they are parsed, and returns the exit status. Throws: see say_failure().
using Run = std::function<int()>;

/// A subcommand: declares its options on `app` and returns what runs it. `server` has its options already, and outlives the result.
using AddSubcommand = Run (*)(CLI::App& app, const ServerOption& server);

}  // namespace redismutex::cli
