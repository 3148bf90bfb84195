#pragma once

#include <chrono>
#include <cstddef>
#include <redismutex/inspection.hpp>
#include <string>
#include <string_view>

/// Sentences about who holds a lock, for messages. What they quote is as the server has it: say() makes it printable.
namespace redismutex::cli {

/// "web3 (pid 812, run/report.sh)"; of what is known.
std::string holder(const Inspection& seen);

/// " for 12 s"; empty if nothing is known.
std::string for_how_long(const Inspection& seen);

/// "by web3 (pid 812, run/report.sh) since 03:00:02, 4 min ago; 2 wait; lease 5.1 s, renewed".
std::string taken_by(const Inspection& seen);

/// "0.8 s", "12 s", "4 min", "3 h", "2 days".
std::string rough_duration(std::chrono::microseconds duration);

/// By the clock on the wall here: "03:00:02", with the date in front if that is not today.
std::string wall_clock(WallTime time);

/// "1st", "2nd", "11th".
std::string ordinal(std::size_t number);

}  // namespace redismutex::cli
