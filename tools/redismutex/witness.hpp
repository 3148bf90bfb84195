#pragma once

#include <sys/types.h>

#include "lease_page.hpp"
#include "lease_timing.hpp"
#include "notes.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// What the witness has from the watcher, its parent.
struct WitnessMeans {
  const Signals& signals;
  LeasePage& page;
  NoteSocket& watchers_end;  // of the connection between watcher and keeper; closed in the witness
  NoteSocket& keepers_end;   // for the witness to write to
  pid_t keeper;
  LeaseTiming timing;
};

/// Starts the witness and returns its pid, or -1 if there is none: a process in the same process group, session and unit
/// as COMMAND that tells the watcher which signals it gets. It has another name than the others, so that `pkill redismutex`
/// and its like do not mean it. When the watcher is dead, it ends with the keeper.
///
/// It is also the last that can do something when watcher and keeper are both killed or both stand still: then it kills all
/// processes that have COMMAND's environment. Those that COMMAND has given another one escape it.
pid_t start_witness(WitnessMeans means, ProcessName& name) noexcept;

/// Asks it to answer, by Note::What::witness_answers, once it has told all signals that it got before.
void ask_witness(pid_t witness, int question) noexcept;

}  // namespace redismutex::cli
