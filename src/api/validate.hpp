#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace redismutex::api {

/// As messages name a duration.
std::string in_ms(std::chrono::milliseconds duration);

/// Throws std::invalid_argument, naming field, value and bound, for a duration that is not positive or too long.
void check_duration(std::string_view field, std::chrono::milliseconds duration);

/// The same for a lease, which must also be longer than what is taken off it for drift: a shorter one could never be held.
void check_expiry(std::string_view field, std::chrono::milliseconds expiry);

}  // namespace redismutex::api
