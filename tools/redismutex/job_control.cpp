#include "job_control.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <optional>

#include "exit_status.hpp"

namespace redismutex::cli {
namespace {

bool has_terminal() {
  const Descriptor terminal{::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  return static_cast<bool>(terminal);
}

/// The exit status of `child`, once it has ended.
std::optional<int> status_if_ended(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, WNOHANG) != child) return std::nullopt;
  return WIFEXITED(status) ? WEXITSTATUS(status) : exit_status::ended_by_signal(WTERMSIG(status));
}

/// The life of the process that stays: hands over what is sent to it, stops when the terminal says so.
int accompany(pid_t child, const Signals& signals) {
  sigset_t stopping;
  ::sigemptyset(&stopping);
  sigset_t awaited = signals.taken();
  for (const int signal : {SIGTSTP, SIGTTIN, SIGTTOU}) {
    ::sigaddset(&stopping, signal);
    ::sigdelset(&awaited, signal);
  }
  ::sigprocmask(SIG_UNBLOCK, &stopping, nullptr);

  while (true) {
    siginfo_t info;
    const int signal = ::sigwaitinfo(&awaited, &info);
    if (signal < 0) continue;  // interrupted by a stop
    if (signal != SIGCHLD) {
      if (sent_by_process(info.si_code)) ::kill(child, signal);
    } else if (const auto status = status_if_ended(child)) {
      return *status;
    }
  }
}

}  // namespace

void leave_process_for_the_shell(const Signals& signals) {
  if (!has_terminal()) return;
  const auto shells_process = ::getpid();
  const auto child = checked(::fork(), "fork");
  if (child != 0) ::_exit(accompany(child, signals));
  // Together to the end: whoever kills the one the shell knows wants the command gone.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != shells_process) ::_exit(exit_status::internal_error);
}

}  // namespace redismutex::cli
