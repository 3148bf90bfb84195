#pragma once

#include "hold_arguments.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// `redismutex hold --with PID`: returns when the lock is held, or is not to be had. A process that belongs to nobody, lock-holder, takes
/// it, keeps it, gives it back when PID ends, and ends PID when the lock is lost. Returns the exit status. Throws
/// std::invalid_argument for a PID that can not be watched and ended, and what else keeps it from its work.
int hold_with(const HoldArguments& arguments, const Signals& signals, ProcessName& name);

}  // namespace redismutex::cli
