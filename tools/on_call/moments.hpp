#pragma once

#include <chrono>
#include <redismutex/inspection.hpp>
#include <string>

/// Times and durations as people read them, and as programs do.
namespace redismutex::cli {

/// "85 ms", "2.3 s", "12 s", "4 min 12 s", "3 h 5 min", "2 d 4 h". What is negative, because clocks differ, is shown as nothing.
std::string duration_text(std::chrono::microseconds duration);

/// The larger unit alone, for tables: "4 min", "3 h", "2 d".
std::string short_duration_text(std::chrono::microseconds duration);

/// Two units without blanks, for tables: "4m12s", "1h59m", "2d4h"; below a minute as the others.
std::string tight_duration_text(std::chrono::microseconds duration);

/// The time of day where this program runs, and the day if it is not that of `now`: "08:31:02", "2026-11-27 08:31:02".
std::string clock_text(WallTime moment, WallTime now);

/// RFC 3339, in UTC and milliseconds: "2026-11-28T08:31:02.123Z".
std::string utc_text(WallTime moment);

/// The present moment, by this machine's clock.
WallTime wall_clock();

}  // namespace redismutex::cli
