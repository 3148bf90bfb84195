#include "signals.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace redismutex::cli {
namespace {

constexpr std::array stopping{SIGTSTP, SIGTTIN, SIGTTOU};
constexpr std::array harmless{SIGCHLD, SIGCONT, SIGURG, SIGWINCH};  // without effect where nothing is done about them
constexpr std::array of_terminals{SIGINT, SIGQUIT, SIGHUP, SIGCONT, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};

template <class Set>
bool contains(const Set& set, int signal) {
  return std::find(set.begin(), set.end(), signal) != set.end();
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t set_of(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() : child_signal_was_ignored_{is_ignored(SIGCHLD)} {
  // Or the kernel would reap the command, and its status would be lost.
  if (child_signal_was_ignored_) ::signal(SIGCHLD, SIG_DFL);

  ::sigfillset(&taken_);  // without the C library's own
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (is_ignored(signal)) ::sigdelset(&taken_, signal);
  }
  checked(::sigprocmask(SIG_BLOCK, &taken_, &original_mask_), "sigprocmask");
}

void Signals::restore() const noexcept {
  if (child_signal_was_ignored_) ::signal(SIGCHLD, SIG_IGN);
  ::sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
}

SignalReader::SignalReader(const Signals& signals)
    : descriptor_{checked(::signalfd(-1, &signals.taken(), SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")} {}

std::optional<signalfd_siginfo> SignalReader::next() {
  signalfd_siginfo info;
  while (::read(descriptor_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_code > 0 || info.ssi_pid != static_cast<std::uint32_t>(::getpid())) return info;
  }
  return std::nullopt;
}

bool sent_by_terminal(const signalfd_siginfo& info) {
  return info.ssi_code == SI_KERNEL && contains(of_terminals, static_cast<int>(info.ssi_signo));
}

Note note_of(Note::What what, const signalfd_siginfo& info) {
  Note note{.what = what, .signal = static_cast<int>(info.ssi_signo), .queued = info.ssi_code == SI_QUEUE};
  if (note.queued) note.value.sival_ptr = reinterpret_cast<void*>(info.ssi_ptr);
  return note;
}

void send_signal(pid_t process, const Note& note) {
  if (note.queued) {
    ::sigqueue(process, note.signal, note.value);
  } else {
    ::kill(process, note.signal);
  }
}

bool asks_to_stop(int signal) { return contains(stopping, signal); }

bool asks_to_end(int signal) { return !asks_to_stop(signal) && !contains(harmless, signal); }

void stop_as_by(int signal) {
  const auto set = set_of(signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // here it takes effect, and here the process goes on
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace redismutex::cli
