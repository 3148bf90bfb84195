#pragma once

#include "hold_arguments.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// `redismutex hold`: takes the mutex, says so, and keeps it as asked. Returns the exit status; what went wrong is said on
/// stderr.
int hold_command(const HoldArguments& arguments, const Signals& signals, ProcessName name) noexcept;

}  // namespace redismutex::cli
