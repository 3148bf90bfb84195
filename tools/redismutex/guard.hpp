#pragma once

#include <chrono>
#include <redismutex/lock.hpp>
#include <string_view>

#include "boot_clock.hpp"
#include "child.hpp"
#include "lease_keeper.hpp"
#include "lease_timing.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// Stands between a lock and the command that runs under it: keeps the lock, passes signals on, and sees to it that the
/// command has ended before the lock has. Never waits for the network.
class Guard {
 public:
  struct Outcome {
    int exit_status;  // the command's
    bool stopped;     // because the lock was lost or could not be renewed
  };

  Guard(Lock& lock, LeaseTiming timing, Child& child, SignalReader& signals);

  /// Returns when the command has ended. A lost lock is reported to stderr.
  Outcome watch();

 private:
  enum class Phase { running, stopping, killing };

  bool ended();
  void wait_until(BootClock::time_point deadline);
  void handle_signals();
  BootClock::time_point act();
  void begin_to_stop();
  void say_why_stopping() const;

  Lock& lock_;
  LeaseTiming timing_;
  Child& child_;
  SignalReader& signals_;
  LeaseKeeper keeper_;
  BootTimer timer_;
  Phase phase_ = Phase::running;
  bool loss_seen_ = false;
  BootClock::time_point kill_at_{};
  BootClock::time_point give_up_at_{};
};

}  // namespace redismutex::cli
