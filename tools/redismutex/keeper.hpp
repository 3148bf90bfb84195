#pragma once

#include <sys/types.h>

#include <redismutex/connection_options.hpp>

#include "arguments.hpp"
#include "lease_page.hpp"
#include "notes.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// What the keeper has from the watcher, its parent.
struct KeeperMeans {
  const Signals& signals;
  LeasePage& page;
  NoteSocket& notes;  // its end of the connection with the watcher
  pid_t watcher;
};

/// The life of the keeper: takes the lock, starts COMMAND under it, renews it, and gives it back when COMMAND has ended.
/// Returns the exit status; what went wrong is said on stderr.
int keep(const RunArguments& arguments, const std::vector<ConnectionOptions>& servers, KeeperMeans means) noexcept;

}  // namespace redismutex::cli
