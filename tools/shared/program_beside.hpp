#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace redismutex::cli {

/// A program that belongs to this one can not be run. What it says is one sentence for the user.
struct NoProgramBeside : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs another of our programs in place of this one: `file` below libexec, or in a build directory beside this program.
/// `name`: argv[0]; `words`: the other arguments. `remedy`: where it comes from, for users who have not got it. Throws NoProgramBeside.
[[noreturn]] void run_program_beside(const std::string& file, const char* name, const std::vector<std::string>& words,
                                     const std::string& remedy);

}  // namespace redismutex::cli
