#pragma once

#include <string>
#include <vector>

#include "shared/app.hpp"

namespace redismutex::cli {

/// Adds positional words, as many as there are, which are taken as they are.
void add_words(CLI::App& app, const std::string& name, std::vector<std::string>& words, const std::string& about);

/// To be called before `app` parses `words`: CLI11 by itself reads a word "[a,b]" among those of add_words() as two.
void keep_brackets(const CLI::App& app, std::vector<std::string>& words);

}  // namespace redismutex::cli
