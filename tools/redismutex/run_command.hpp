#pragma once

#include "arguments.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// `redismutex run`: takes the mutex, runs the command, gives the mutex back. Returns the exit status; what went wrong is
/// said on stderr.
int run_command(const RunArguments& arguments, const Signals& signals) noexcept;

}  // namespace redismutex::cli
