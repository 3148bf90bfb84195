#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <thread>

#include "event.hpp"
#include "lock_news.hpp"
#include "notes.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// While it lives, a signal that asks for an end makes a stop_token fire. For the time in which the keeper's main thread
/// waits for the lock and there is no COMMAND yet. The end of the watcher counts as SIGKILL. It also fires when the server
/// has been away for longer than `patience`, if there is such a limit.
class EndOnSignal {
 public:
  EndOnSignal(NoteSocket& watcher, SignalReader& signals, const LockNews& news,
              std::optional<std::chrono::milliseconds> patience);
  ~EndOnSignal();
  EndOnSignal(const EndOnSignal&) = delete;
  EndOnSignal& operator=(const EndOnSignal&) = delete;

  std::stop_token token() const noexcept { return asked_to_end_.get_token(); }

  /// Ends that time. Returns the signal that asked for an end, if one did; those that come from now on are unread.
  std::optional<int> finish();

  /// The absence that was too long, if that is what it fired for. After finish().
  const std::optional<LockNews::Absence>& absence() const noexcept { return absence_; }

 private:
  void listen();
  int time_to_look() const;

  NoteSocket& watcher_;
  SignalReader& signals_;
  const LockNews& news_;
  std::optional<std::chrono::milliseconds> patience_;
  std::stop_source asked_to_end_;
  std::optional<int> signal_;  // the thread's until it is joined, and so is the next
  std::optional<LockNews::Absence> absence_;
  Event over_;
  std::thread thread_;  // last: it uses all the others
};

/// The signal that has asked for an end up to now, if one has. The end of the watcher counts as SIGKILL.
std::optional<int> signal_that_asks_to_end(NoteSocket& watcher, SignalReader& signals);

/// Tells the watcher of the signals that came to the keeper itself: the watcher knows who else got them.
void report_signals(SignalReader& signals, const NoteSocket& watcher);

}  // namespace redismutex::cli
