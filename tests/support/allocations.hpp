#pragma once

#include <cstdint>

namespace redismutex::testing {

// For programs that have allocations.cpp among their sources, whose operator new then is the program's.

/// How often the calling thread has asked operator new for memory, since it began.
std::uint64_t allocations() noexcept;

/// How many allocations of the calling thread will succeed before one fails; then, and below zero, all succeed.
extern thread_local int allocations_left;

}  // namespace redismutex::testing
