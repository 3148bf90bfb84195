#include "end_on_signal.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace redismutex::cli {

EndOnSignal::EndOnSignal(NoteSocket& watcher, SignalReader& signals, const LockNews& news,
                         std::optional<std::chrono::milliseconds> patience)
    : watcher_{watcher}, signals_{signals}, news_{news}, patience_{patience}, thread_{[this] { listen(); }} {}

EndOnSignal::~EndOnSignal() { finish(); }

std::optional<int> EndOnSignal::finish() {
  over_.raise();
  if (thread_.joinable()) thread_.join();
  return signal_;
}

void EndOnSignal::listen() {
  std::array<pollfd, 3> sources{
      {{watcher_.descriptor(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}, {over_.descriptor(), POLLIN, 0}}};
  while (!signal_ && !absence_) {
    ::poll(sources.data(), sources.size(), time_to_look());
    signal_ = signal_that_asks_to_end(watcher_, signals_);
    if (sources[2].revents != 0) return;
    if (const auto absence = news_.absence(); patience_ && absence && BootClock::now() - absence->since >= *patience_) {
      absence_ = absence;
    }
  }
  asked_to_end_.request_stop();
}

/// In milliseconds: when the server can have been away for so long; -1: never.
int EndOnSignal::time_to_look() const {
  if (!patience_) return -1;
  const auto absence = news_.absence();
  const auto passed = absence ? BootClock::now() - absence->since : BootClock::duration{0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*patience_ - passed);
  constexpr std::int64_t longest = 60'000;
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, longest));
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
