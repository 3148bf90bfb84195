#pragma once

#include <cstdint>

namespace redismutex::testing {

/// How often the calling thread has asked operator new for memory, since it began.
std::uint64_t allocations() noexcept;

}  // namespace redismutex::testing
