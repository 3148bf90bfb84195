#pragma once

#include <signal.h>
#include <sys/signalfd.h>

#include <optional>

#include "descriptor.hpp"

namespace redismutex::cli {

/// Takes the signals of this program into its own hands: from now on they wait to be read, in this thread and in all
/// that it starts later. Make one before anything else happens.
///
/// Signals that were ignored when the program began (nohup) are left alone: nobody wants them here either.
class Signals {
 public:
  Signals();

  /// All that were taken.
  const sigset_t& taken() const noexcept { return taken_; }

  /// What a program started from here must have in its own way: the mask and dispositions there were in the beginning.
  const sigset_t& original_mask() const noexcept { return original_mask_; }
  bool child_signal_was_ignored() const noexcept { return child_signal_was_ignored_; }

  /// Gives the original state back to the calling process. For the child of fork(): async-signal-safe.
  void restore() const noexcept;

 private:
  sigset_t original_mask_{};
  sigset_t taken_{};
  bool child_signal_was_ignored_ = false;
};

/// The taken signals as something that poll() can wait for. Signals of the whole process: any thread may read.
class SignalReader {
 public:
  explicit SignalReader(const Signals& signals);

  int descriptor() const noexcept { return descriptor_.get(); }

  /// The next signal that came, if there is one.
  std::optional<signalfd_siginfo> next();

 private:
  Descriptor descriptor_;
};

/// Whether a process sent it. The kernel sends those of the terminal (Ctrl-C, Ctrl-Z, a new window size) to the whole
/// foreground group: the command has got them already.
inline bool sent_by_process(int si_code) { return si_code <= 0; }

/// Whether it asks for an end, and would have brought it about here had it not been taken.
bool asks_to_end(int signal);

/// Stops the process as the untaken `signal` (SIGTSTP, SIGTTIN or SIGTTOU) would have, until SIGCONT.
void stop_as_by(int signal);

}  // namespace redismutex::cli
