#pragma once

#include "embedded_directory.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// Sees to it that the embedded server has a minder: a process of its own that waits until nobody uses the server, ends
/// it, removes its directory, and ends. No user of the server has to be alive for that. What the server must not forget
/// (the lock of someone who was killed, the last fencing token) stays behind in a file of the directory, for the next.
///
/// Call it with start.lock held, and before this process is a subreaper.
void start_embedded_minder(const EmbeddedDirectory& directory, const Signals& signals, ProcessName name);

}  // namespace redismutex::cli
