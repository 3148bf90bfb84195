#include "witness.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "family.hpp"

namespace redismutex::cli {
namespace {

/// Of all pending signals the kernel hands out the one with the highest number last.
int question_signal() { return SIGRTMAX; }

class Witness {
 public:
  explicit Witness(WitnessMeans means) : means_{means}, signals_{means.signals}, watcher_{::getppid()} {
    // Without a way to learn of the keeper's end (Linux before 5.3) it must not stay for ever.
    if (!keeper_) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  }

  /// Returns when there is nobody left to be a witness for.
  void watch();

 private:
  void wait();
  void tell_signals();
  void kill_what_is_left();

  bool is_command_overdue() const {
    return is_running() && BootClock::now() >= means_.page.kill_at() + 2 * means_.timing.watchers_patience();
  }
  bool is_running() const { return means_.page.state() == LeasePage::State::running; }

  WitnessMeans means_;
  SignalReader signals_;
  BootTimer timer_;
  pid_t watcher_;
  Descriptor keeper_{static_cast<int>(::syscall(SYS_pidfd_open, means_.keeper, 0))};
  bool watcher_is_dead_ = false;
  bool keeper_is_dead_ = false;
};

void Witness::watch() {
  while (!watcher_is_dead_ || !keeper_is_dead_) {
    wait();
    tell_signals();
    if (!is_command_overdue()) continue;
    ::syscall(SYS_pidfd_send_signal, keeper_.get(), SIGKILL, nullptr, 0);  // it must not start anything any more
    kill_what_is_left();
    means_.page.set_state(LeasePage::State::overdue);
  }
  if (is_running()) kill_what_is_left();
}

void Witness::wait() {
  if (is_running()) {
    timer_.set(means_.page.kill_at() + 2 * means_.timing.watchers_patience() - BootClock::now());
  } else {
    timer_.disarm();
  }
  // The notes at the keeper's end are not for us: only its hang-up is, which tells of the end of the watcher.
  std::array<pollfd, 4> sources{{{signals_.descriptor(), POLLIN, 0},
                                 {timer_.descriptor(), POLLIN, 0},
                                 {watcher_is_dead_ ? -1 : means_.keepers_end.descriptor(), 0, 0},
                                 {keeper_is_dead_ ? -1 : keeper_.get(), POLLIN, 0}}};
  ::poll(sources.data(), sources.size(), -1);
  watcher_is_dead_ = watcher_is_dead_ || (sources[2].revents & POLLHUP) != 0;
  keeper_is_dead_ = keeper_is_dead_ || sources[3].revents != 0;
}

void Witness::tell_signals() {
  while (const auto info = signals_.next()) {
    const auto signal = static_cast<int>(info->ssi_signo);
    if (signal == SIGCHLD) continue;
    const bool asked =
        signal == question_signal() && info->ssi_code == SI_QUEUE && static_cast<pid_t>(info->ssi_pid) == watcher_;
    means_.keepers_end.send(note_of(asked ? Note::What::witness_answers : Note::What::seen_by_witness, *info));
  }
}

void Witness::kill_what_is_left() {
  const auto mark = means_.page.mark();
  const auto deadline = BootClock::now() + kill_limit;
  // Twice in a row: one look can miss a process that is just being started.
  for (int looks_without = 0; looks_without < 2 && BootClock::now() < deadline; ++looks_without) {
    if (signal_all_with(mark, SIGKILL) > 0) looks_without = -1;
    if (looks_without < 0) ::poll(nullptr, 0, static_cast<int>(kill_again_every.count()));
  }
}

}  // namespace

pid_t start_witness(WitnessMeans means, ProcessName& name) noexcept {
  const auto pid = ::fork();
  if (pid != 0) return pid;
  try {
    means.watchers_end.close();
    name.set("signal-witness");
    name.hide_arguments();
    Witness{means}.watch();
  } catch (const std::exception&) {
    // No descriptors or no memory: the others go on without a witness.
  }
  ::_exit(0);
}

void ask_witness(pid_t witness, int question) noexcept {
  sigval value{};
  value.sival_int = question;
  ::sigqueue(witness, question_signal(), value);
}

}  // namespace redismutex::cli
