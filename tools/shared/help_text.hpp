#pragma once

#include <cstddef>
#include <string>

namespace redismutex::cli {

/// Of the terminal that standard output is; 80 where that is none, or does not tell.
std::size_t terminal_width();

/// As wide as helps are: the terminal, but no wider than people like to read.
std::size_t help_width();

/// The paragraphs of a text, and the items of its lists ("  - one"), in lines of that width. Other lines that begin with a blank, as those of tables, stay as they are.
std::string wrapped(const std::string& text, std::size_t width);

}  // namespace redismutex::cli
