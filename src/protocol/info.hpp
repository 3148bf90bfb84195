#pragma once

#include <string_view>

namespace redismutex::protocol {

/// The value of `field` in a reply to INFO, which is lines of "field:value"; empty if it is not there.
std::string_view info_value(std::string_view info, std::string_view field);

}  // namespace redismutex::protocol
