#pragma once

#include "arguments.hpp"

namespace redismutex::cli {

/// The wait for the lock was ended by a signal, with nothing held.
struct EndedBySignal {
  int signal;
};

/// In a catch block: says what went wrong, and what helps, and returns the exit status for it.
int say_failure(const RunArguments& arguments) noexcept;

}  // namespace redismutex::cli
