#include "signals.hpp"

#include <algorithm>
#include <array>

namespace redismutex::cli {
namespace {

constexpr std::array ending{SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
constexpr std::array others{SIGCHLD, SIGCONT, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};

bool is_ignored(int signal) {
  struct sigaction action {};
  checked(::sigaction(signal, nullptr, &action), "sigaction");
  return action.sa_handler == SIG_IGN;
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

  ::sigemptyset(&taken_);
  for (const int signal : ending) {
    if (!is_ignored(signal)) ::sigaddset(&taken_, signal);
  }
  for (const int signal : others) {
    if (!is_ignored(signal)) ::sigaddset(&taken_, signal);
  }
  sigset_t blocked = taken_;
  ::sigaddset(&blocked, SIGPIPE);  // a closed stderr must not end the one who guards the command
  checked(::sigprocmask(SIG_BLOCK, &blocked, &original_mask_), "sigprocmask");
}

void Signals::restore() const noexcept {
  if (child_signal_was_ignored_) ::signal(SIGCHLD, SIG_IGN);
  ::sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
}

SignalReader::SignalReader(const Signals& signals)
    : descriptor_{checked(::signalfd(-1, &signals.taken(), SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")} {}

std::optional<signalfd_siginfo> SignalReader::next() {
  signalfd_siginfo info;
  if (::read(descriptor_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
  return info;
}

bool asks_to_end(int signal) { return std::find(ending.begin(), ending.end(), signal) != ending.end(); }

void stop_as_by(int signal) {
  const auto set = set_of(signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // here it takes effect, and here the process goes on
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace redismutex::cli
