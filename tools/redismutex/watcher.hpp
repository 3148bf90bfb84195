#pragma once

#include <sys/types.h>

#include <string>

#include "arguments.hpp"
#include "boot_clock.hpp"
#include "family.hpp"
#include "lease_page.hpp"
#include "lease_timing.hpp"
#include "notes.hpp"
#include "process_name.hpp"
#include "signal_sieve.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// The process that the shell knows. It passes on what is sent to it, stops when the terminal says so, and ends as its
/// keeper does. When the keeper dies or does not act in time, it kills the keeper and all that COMMAND started.
class Watcher {
 public:
  /// What a Watcher works with.
  struct Means {
    const Signals& signals;
    LeasePage& page;
    Family& family;
    NoteSocket& notes;          // its end of the connection with the keeper
    NoteSocket& witness_notes;  // the other end, for the witness to write to
    ProcessName& name;
    pid_t keeper;
  };

  Watcher(Means means, const RunArguments& arguments);

  /// Returns the exit status when the keeper has ended and all that must not outlive it has, too.
  int watch();

 private:
  bool ended();
  void reap();
  void wait_until(BootClock::time_point deadline);
  void handle_signals();
  void handle(const signalfd_siginfo& info);
  void hang_up();
  void handle_notes();
  void pass_on_due_signals();
  void pass_on(const Note& note);
  void stop_with_the_job(int signal);
  BootClock::time_point act();
  std::string stands_still() const;
  BootClock::time_point await_release(BootClock::time_point now);
  void take_over(const std::string& reason);
  void start_witness();
  void end_witness();

  void tell_keeper(const Note& note);
  bool is_waiting() const { return means_.page.state() == LeasePage::State::waiting; }

  Means means_;
  std::string key_;
  LeaseTiming timing_;
  SignalReader reader_;
  SignalSieve sieve_;
  BootTimer timer_;
  pid_t witness_ = -1;
  BootClock::time_point witness_due_ = BootClock::time_point::max();
  bool had_witness_ = false;
  bool keeper_ended_ = false;
  int keeper_status_ = 0;  // as waitpid() says
  bool has_asked_to_end_ = false;
  int wait_ended_by_ = 0;  // the signal that asked for the end of the wait
  BootClock::time_point wait_ends_at_{};
  BootClock::time_point release_ends_at_ = BootClock::time_point::max();
  bool has_taken_over_ = false;
  BootClock::time_point give_up_at_{};
};

}  // namespace redismutex::cli
