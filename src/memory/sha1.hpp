#pragma once

#include <string>
#include <string_view>

namespace redismutex::memory {

/// SHA-1 of the text in hexadecimal digits, as a server names a script. Source: FIPS 180-4.
std::string sha1(std::string_view text);

}  // namespace redismutex::memory
