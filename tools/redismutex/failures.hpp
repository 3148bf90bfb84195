#pragma once

#include <string_view>

#include "arguments.hpp"

namespace redismutex::cli {

/// The wait for the lock was ended by a signal, with nothing held.
struct EndedBySignal {
  int signal;
};

/// In a catch block: says what went wrong, and what helps, and returns the exit status for it.
/// `url_source`: as NamedUrl::source; `command`: what has failed, "redismutex run".
int say_failure(std::string_view url_source, std::string_view command) noexcept;
int say_failure(const RunArguments& arguments) noexcept;

}  // namespace redismutex::cli
