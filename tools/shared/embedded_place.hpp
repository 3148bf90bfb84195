#pragma once

#include <string>
#include <string_view>

namespace redismutex::cli {

/// In place of a URL: this user's own server, which the command starts when it is needed.
inline constexpr std::string_view embedded_url = "embedded:";

/// The directory in which it lives: /tmp/redismutex-UID. It depends on the user alone, never on the environment: a cron job and a shell of one
/// user must not find two servers.
std::string embedded_directory();

/// Where it listens.
std::string embedded_socket();

/// What is wrong with that directory: anyone may make directories and links in /tmp, and whoever owned this one could speak for the server.
/// Empty: nothing, or there is none.
std::string trouble_with_embedded_directory();

}  // namespace redismutex::cli
