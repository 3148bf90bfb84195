#pragma once

#include <signal.h>
#include <sys/signalfd.h>

#include <optional>

#include "descriptor.hpp"
#include "notes.hpp"

namespace redismutex::cli {

/// Takes all signals of this program into its own hands: from now on they wait to be read, in this thread and in all
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

/// The taken signals of the calling process as something that poll() can wait for. Any thread may read.
class SignalReader {
 public:
  explicit SignalReader(const Signals& signals);

  int descriptor() const noexcept { return descriptor_.get(); }

  /// The next signal that came, if there is one; never one that this process caused itself (SIGPIPE).
  std::optional<signalfd_siginfo> next();

 private:
  Descriptor descriptor_;
};

/// Whether the kernel sent it because of the terminal (Ctrl-C, Ctrl-Z, a new window size): then it has sent it to all
/// processes of the foreground group.
bool sent_by_terminal(const signalfd_siginfo& info);

/// A note about it.
Note note_of(Note::What what, const signalfd_siginfo& info);

/// Sends a process the signal of the note, with its value if it has one.
void send_signal(pid_t process, const Note& note);

/// Whether it stops a process that does nothing about it (SIGTSTP, SIGTTIN, SIGTTOU).
bool asks_to_stop(int signal);

/// Whether it asks for an end, and would have brought it about here had it not been taken.
bool asks_to_end(int signal);

/// Stops the process as the untaken `signal` would have, until SIGCONT.
void stop_as_by(int signal);

}  // namespace redismutex::cli
