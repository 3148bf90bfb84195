#pragma once

#include "arguments.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// `redismutex run`: takes the mutex, runs the command, gives the mutex back. Returns the exit status; what went wrong is
/// said on stderr. Starts the keeper and becomes the watcher: see main.cpp.
int run_command(const RunArguments& arguments, const Signals& signals, ProcessName name) noexcept;

}  // namespace redismutex::cli
