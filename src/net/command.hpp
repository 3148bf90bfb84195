#pragma once

#include <span>
#include <string>
#include <string_view>

namespace redismutex::net {

/// Appends a command in the server's protocol: an array of strings of any bytes.
void append_command(std::string& out, std::span<const std::string_view> arguments);

}  // namespace redismutex::net
