#pragma once

#include <CLI/CLI.hpp>
#include <memory>

namespace redismutex::cli {

/// Add the subcommand `run`, or `hold`, to `app`, for programs that want to know its options. It can be looked at as long as the result lives.
std::shared_ptr<void> declare_run(CLI::App& app);
std::shared_ptr<void> declare_hold(CLI::App& app);

}  // namespace redismutex::cli
