#include "end_on_signal.hpp"

#include <poll.h>

#include <array>

namespace redismutex::cli {

EndOnSignal::EndOnSignal(NoteSocket& watcher, SignalReader& signals)
    : watcher_{watcher}, signals_{signals}, thread_{[this] { listen(); }} {}

EndOnSignal::~EndOnSignal() { finish(); }

std::optional<int> EndOnSignal::finish() {
  over_.raise();
  if (thread_.joinable()) thread_.join();
  return signal_;
}

void EndOnSignal::listen() {
  std::array<pollfd, 3> sources{
      {{watcher_.descriptor(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}, {over_.descriptor(), POLLIN, 0}}};
  while (!signal_) {
    ::poll(sources.data(), sources.size(), -1);
    signal_ = signal_that_asks_to_end(watcher_, signals_);
    if (sources[2].revents != 0) return;
  }
  asked_to_end_.request_stop();
}

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
