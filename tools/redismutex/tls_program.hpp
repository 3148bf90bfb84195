#pragma once

#include <string>
#include <vector>

namespace redismutex::cli {

/// Runs the program that has TLS in place of this one, if one of the URLs asks for TLS and this program has none. `words`: its arguments;
/// `name`: argv[0]. Throws NoProgramBeside.
void run_tls_program(const std::vector<std::string>& urls, const char* name, const std::vector<std::string>& words);

}  // namespace redismutex::cli
