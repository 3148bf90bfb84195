#pragma once

#include <string>

namespace redismutex::cli {

/// Whether there is a person who can answer a question: standard input and error are terminals.
bool can_ask();

/// Asks on standard error and reads the answer. Only "y" and "yes" mean yes.
bool ask(const std::string& question);

}  // namespace redismutex::cli
