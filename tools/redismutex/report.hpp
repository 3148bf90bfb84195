#pragma once

#include <string>

#include "arguments.hpp"
#include "boot_clock.hpp"
#include "lease_page.hpp"

namespace redismutex::cli {

/// Why that can not be the file of --report, for people; empty: nothing is known against it. It would be replaced by a file of reports.
std::string trouble_with_report(const std::string& path);

/// Counts a run that has just ended with this exit status in the file of --report. Where that fails it is said on stderr: the
/// exit status stays COMMAND's.
void report_run(const RunArguments& arguments, const LeasePage& page, BootClock::time_point asked_at,
                int status) noexcept;

}  // namespace redismutex::cli
