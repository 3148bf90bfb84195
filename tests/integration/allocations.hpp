#pragma once

namespace redismutex::testing {

/// How many allocations of this thread will succeed before one fails; then, and below zero, all succeed.
extern thread_local int allocations_left;

}  // namespace redismutex::testing
