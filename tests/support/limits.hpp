#pragma once

#include <chrono>

namespace redismutex::testing {

inline constexpr std::chrono::milliseconds limit{15'000};    // for what must happen
inline constexpr std::chrono::milliseconds quiet_time{100};  // for what must not

}  // namespace redismutex::testing
