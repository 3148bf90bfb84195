#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <redismutex/lock.hpp>
#include <stop_token>
#include <string>

#include "arguments.hpp"
#include "boot_clock.hpp"
#include "child.hpp"
#include "event.hpp"
#include "lease_page.hpp"
#include "lease_timing.hpp"
#include "lock_news.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// Tells the watcher until when COMMAND may run under `lock`.
void publish_lease(LeasePage& page, const Lock& lock, LeaseTiming timing) noexcept;

/// Stands between a lock and the command that runs under it: tells the watcher how long the lease lasts, which the library
/// renews, passes signals on, and sees to it that all that the command started has ended before the lock has. Never waits for
/// the network.
class Guard {
 public:
  enum class End {
    normal,     // COMMAND has ended by itself, and so have those that it left behind, or they may go on
    lock_lost,  // COMMAND was stopped, because the lock was lost or could not be renewed
    unwatched   // COMMAND was stopped, because the watcher is dead; the lock is still ours
  };

  struct Outcome {
    End end;
    int exit_status;  // the command's
  };

  /// What a Guard works with.
  struct Means {
    const Lock& lock;
    const LockNews& news;
    Child& child;
    LeasePage& page;
    NoteSocket& watcher;
    SignalReader& signals;
  };

  Guard(Means means, const RunArguments& arguments);

  /// Returns when the command has ended. A lost lock is reported to stderr.
  Outcome watch();

 private:
  enum class Phase { running, stopping };

  bool ended();
  void wait_until(BootClock::time_point deadline);
  void handle_notes();
  void handle(const Note& note);
  void end_the_rest(int exit_status);
  BootClock::time_point act();
  BootClock::time_point keep_on(BootClock::time_point now);
  void say_what_is_waited_for(BootClock::time_point now);
  void begin_to_stop();

  Means means_;
  const RunArguments& arguments_;
  LeaseTiming timing_;
  Event loss_;
  std::stop_token lost_token_;
  std::stop_callback<std::function<void()>> on_loss_;
  BootTimer timer_;
  Phase phase_ = Phase::running;
  End end_ = End::normal;
  bool loss_seen_ = false;
  bool said_waiting_ = false;
  int asked_to_end_ = 0;  // by this signal, whoever sent it
  BootClock::time_point command_ended_at_ = BootClock::time_point::max();
  BootClock::time_point kill_at_{};
};

}  // namespace redismutex::cli
