#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace redismutex::cli {

/// For the end of a help.
inline constexpr auto where_the_url_is =
    R"(The server's URL is the first that there is of: --url, --url-file, $REDISMUTEX_URL, $REDIS_URL,
$CREDENTIALS_DIRECTORY/redismutex-url, /etc/redismutex/url.)";

/// Adds one or more positional words, which are taken as they are: CLI11 by itself would read "[a,b]" as two.
inline CLI::Option* add_words(CLI::App& app, const std::string& name, std::vector<std::string>& words,
                              const std::string& about) {
  return app.add_option(name, words, about)
      ->required()
      ->allow_extra_args(false)
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->type_name("...");
}

}  // namespace redismutex::cli
