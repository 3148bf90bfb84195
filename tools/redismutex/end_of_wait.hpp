#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <thread>

#include "event.hpp"
#include "interruption.hpp"
#include "lock_news.hpp"

namespace redismutex::cli {

/// While it lives, an interruption makes a stop_token fire, and so does a server that has been away for longer than `patience`, if
/// there is such a limit. For the time in which another thread waits for the lock.
class EndOfWait {
 public:
  EndOfWait(const Interruption& interruption, const LockNews& news, std::optional<std::chrono::milliseconds> patience);
  ~EndOfWait();
  EndOfWait(const EndOfWait&) = delete;
  EndOfWait& operator=(const EndOfWait&) = delete;

  std::stop_token token() const noexcept { return stop_.get_token(); }

  /// Ends that time; afterwards the interruption is the caller's to ask about. Returns the absence that was too long, if the token
  /// fired for one.
  std::optional<LockNews::Absence> finish();

 private:
  void listen();
  bool is_over();
  int time_to_look() const;

  const Interruption& interruption_;
  const LockNews& news_;
  std::optional<std::chrono::milliseconds> patience_;
  std::stop_source stop_;
  std::optional<LockNews::Absence> absence_;  // the thread's until it is joined
  Event finished_;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace redismutex::cli
