#pragma once

#include <span>
#include <string>
#include <string_view>

namespace redismutex::net {

/// Appends a command in the server's protocol: an array of strings of any bytes. (hiredis does that too, by way of printf
/// and a copy, at half the speed.)
void append_command(std::string& out, std::span<const std::string_view> arguments);

}  // namespace redismutex::net
