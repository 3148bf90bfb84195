#pragma once

#include <optional>
#include <stop_token>
#include <thread>

#include "event.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// While it lives, a signal that would have ended this program makes a stop_token fire instead, and a signal that would
/// have stopped it does. For the time in which the main thread waits for the lock and no command runs yet.
class EndOnSignal {
 public:
  explicit EndOnSignal(SignalReader& signals);
  ~EndOnSignal();
  EndOnSignal(const EndOnSignal&) = delete;
  EndOnSignal& operator=(const EndOnSignal&) = delete;

  std::stop_token token() const noexcept { return asked_to_end_.get_token(); }

  /// Ends that time. Returns the signal that asked for an end, if one did; those that come from now on are unread.
  std::optional<int> finish();

 private:
  void listen();

  SignalReader& signals_;
  std::stop_source asked_to_end_;
  std::optional<int> signal_;  // the thread's until it is joined
  Event over_;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace redismutex::cli
