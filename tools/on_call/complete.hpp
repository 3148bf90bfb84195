#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace redismutex::cli {

/// `redismutex complete -- WORDS`: prints what the last of the words can become, a line each: the word, and behind a tab what it
/// means. `root` has all subcommands as the parser has them, so the two can not differ. Returns the exit status.
int complete(const CLI::App& root, std::vector<std::string> words);

}  // namespace redismutex::cli
