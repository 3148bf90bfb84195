#pragma once

#include <redismutex/redismutex.hpp>

namespace redismutex::faults {

/// An Observer that counts what each thread is told of its own attempts and locks. What is acquired, less what has ended, is held.
class Balance final : public Observer {
 public:
  /// After an attempt of the calling thread, or after the end of its lock: ends the process, with words on stderr, if not each of its
  /// attempts was told once, or if it holds another number of locks than was told.
  static void check(long attempts, long held);

  void attempt_ended(const AttemptEnded& event) noexcept override;
  void hold_ended(const HoldEnded& event) noexcept override;
};

}  // namespace redismutex::faults
