#pragma once

#include <functional>

#include "server_option.hpp"
#include "shared/app.hpp"

namespace redismutex::cli {

/// Does what the words ask for, once they are parsed, and returns the exit status. Throws: see say_failure().
using Run = std::function<int()>;

/// A subcommand: declares its options on `app` and returns what runs it. `server` has its options already, and outlives the result.
using AddSubcommand = Run (*)(CLI::App& app, const ServerOption& server);

/// For the end of a help.
inline constexpr auto where_the_url_is =
    R"(The server's URL is the first that there is of: --url, --url-file, $REDISMUTEX_URL, $REDIS_URL,
$CREDENTIALS_DIRECTORY/redismutex-url, /etc/redismutex/url.)";

}  // namespace redismutex::cli
