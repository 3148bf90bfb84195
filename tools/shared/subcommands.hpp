#pragma once

#include <array>
#include <string_view>

namespace redismutex::cli {

/// One of the words behind `redismutex`.
struct SubcommandName {
  std::string_view name;
  std::string_view about;
};

/// What redismutex-on-call does for `redismutex`: its main.cpp has one function for each.
inline constexpr std::array on_call_subcommands{
    SubcommandName{"status", "Shows who holds a mutex and who waits for it."},
    SubcommandName{"ls", "Lists mutexes."},
    SubcommandName{"watch", "Shows mutexes as they change, on the whole screen."},
    SubcommandName{"break", "Takes a mutex from its holder."},
    SubcommandName{"doctor", "Examines a server: is it set up for locks?"},
    SubcommandName{"bench", "Measures how long locks take on a server."},
};

/// What shells ask for completions, with the words behind `redismutex`: `redismutex complete -- run --fen`. No help shows it.
inline constexpr std::string_view complete_name = "complete";

}  // namespace redismutex::cli
