#pragma once

/// The exit statuses that are our own; the first five are those of sysexits.h. Every other one is the command's.
namespace redismutex::cli::exit_status {

inline constexpr int usage = 64;           // EX_USAGE
inline constexpr int unreachable = 69;     // EX_UNAVAILABLE: no server
inline constexpr int internal_error = 70;  // EX_SOFTWARE: the server refused, or something unforeseen
inline constexpr int not_acquired = 75;    // EX_TEMPFAIL: taken, or the wait ran out
inline constexpr int login_refused = 77;   // EX_NOPERM
inline constexpr int lock_lost = 79;
inline constexpr int not_executable = 126;  // as shells do
inline constexpr int not_found = 127;       // as shells do

constexpr int ended_by_signal(int signal) { return 128 + signal; }

}  // namespace redismutex::cli::exit_status
