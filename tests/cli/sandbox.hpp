#pragma once

#include <string>
#include <vector>

#include "command.hpp"

namespace redismutex::testing {

/// Gives this process and those that it starts from now on a /tmp of their own, once: what is in the real one stays as it
/// is. Where that is not allowed (some containers), or would hide the program, all goes on in the real one.
void enter_private_tmp();

/// Runs `redismutex ARGUMENTS...` with exactly this environment, and with /etc/redismutex/url as if it had this text;
/// without a text, as if there were none.
Result redismutex_with_system_file(const std::string& text, const std::vector<std::string>& arguments,
                                   const std::vector<std::string>& environment);

/// Runs `redismutex ARGUMENTS...` as a user who is not root and may not look into directories that are not readable.
Result redismutex_without_privileges(const std::vector<std::string>& arguments,
                                     const std::vector<std::string>& environment);

/// The words that start a program as PID 1 of a namespace, with a /proc of its own or without; none where that is not
/// allowed.
std::vector<std::string> as_first_process(bool with_proc);

}  // namespace redismutex::testing
