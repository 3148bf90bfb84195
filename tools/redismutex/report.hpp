#pragma once

#include "arguments.hpp"
#include "boot_clock.hpp"
#include "lease_page.hpp"

namespace redismutex::cli {

/// Counts a run that has just ended with this exit status in the file of --report. Where that fails it is said on stderr: the
/// exit status stays COMMAND's.
void report_run(const RunArguments& arguments, const LeasePage& page, BootClock::time_point asked_at,
                int status) noexcept;

}  // namespace redismutex::cli
