#pragma once

#include <optional>

#include "notes.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// The signal that has asked for an end up to now, if one has. The end of the watcher counts as SIGKILL.
std::optional<int> signal_that_asks_to_end(NoteSocket& watcher, SignalReader& signals);

/// Tells the watcher of the signals that came to the keeper itself: the watcher knows who else got them.
void report_signals(SignalReader& signals, const NoteSocket& watcher);

}  // namespace redismutex::cli
