#pragma once

#include "signals.hpp"

namespace redismutex::cli {

/// Makes Ctrl-Z safe. Where there is a terminal, the process that the shell knows stays behind in this function: it
/// stops and goes on with the job and ends as its child does. The child returns, never stops, and so can renew the lock
/// of a command that stands still; if it stopped too, `fg` after the lease would let the command run unprotected.
///
/// Without a terminal nobody can press Ctrl-Z, and this does nothing. Call it before threads and sockets exist.
void leave_process_for_the_shell(const Signals& signals);

}  // namespace redismutex::cli
