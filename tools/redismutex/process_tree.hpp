#pragma once

#include <sys/types.h>

#include <vector>

namespace redismutex::cli {

/// The living descendants of `ancestor` that are in its session, as /proc shows them; parents come before their
/// children. `included` counts whatever its session (0: no such process).
std::vector<pid_t> descendants_in_session(pid_t ancestor, pid_t included);

}  // namespace redismutex::cli
