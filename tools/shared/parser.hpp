#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/url_source.hpp"

/// What the command lines of all our programs have in common.
namespace redismutex::cli {

/// NamedUrls::source where it is the option.
inline constexpr std::string_view url_option = "--url";

/// Prepares the help of `app`: `usage` first (examples, and what excludes what), then the options, then `details`.
void set_help(CLI::App& app, std::string usage, std::string details = {});

/// Adds --url and --url-file to `app`, with `kinds` as the explanation of --url. The result finds the URLs once `app` has parsed its words; it
/// throws NoUrl.
std::function<NamedUrls()> add_url_options(CLI::App& app, const std::string& kinds);

/// Flushes std::cout. False if anything could not be written: that was said.
bool finish_output();

/// Reads a whole number from `least` to `most`. Throws CLI::ValidationError, which names `option`.
int parse_number(const std::string& option, const std::string& text, int least, int most);

/// Parses `words`, and calls `done` with none of the parser's exceptions about. Returns nothing if all is well; else help, version or what is
/// wrong was printed, and the exit status is returned. `name` is what people type before the words, for the hint.
std::optional<int> parse_words(CLI::App& app, std::vector<std::string> words, const std::string& name,
                               const std::function<void()>& done);

/// Overwrites the passwords of URLs in argv, which `ps` shows to everyone. Copy the words first.
void hide_passwords(char** argv);

}  // namespace redismutex::cli
