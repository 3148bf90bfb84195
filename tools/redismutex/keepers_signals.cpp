#include "keepers_signals.hpp"

namespace redismutex::cli {

std::optional<int> signal_that_asks_to_end(NoteSocket& watcher, SignalReader& signals) {
  report_signals(signals, watcher);
  std::optional<int> result;
  while (const auto note = watcher.next()) {
    if (!result && asks_to_end(note->signal)) result = note->signal;
  }
  return watcher.closed() ? SIGKILL : result;
}

void report_signals(SignalReader& signals, const NoteSocket& watcher) {
  while (const auto info = signals.next()) {
    if (info->ssi_signo != SIGCHLD) watcher.send(note_of(Note::What::seen_by_keeper, *info));
  }
}

}  // namespace redismutex::cli
