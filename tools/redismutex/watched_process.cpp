#include "watched_process.hpp"

#include <poll.h>
#include <sys/syscall.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace redismutex::cli {
namespace {

// The C library has these since its version 2.36.
int pidfd_open(pid_t process) { return static_cast<int>(::syscall(SYS_pidfd_open, process, 0)); }
int pidfd_send_signal(int descriptor, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0));
}

}  // namespace

WatchedProcess::WatchedProcess(pid_t number) : descriptor_{pidfd_open(number)} {
  const auto process = "process " + std::to_string(number);
  if (!descriptor_) {
    if (errno != ESRCH && errno != EINVAL) checked(-1, "pidfd_open");
    throw std::invalid_argument{"there is no " + process};  // EINVAL: it is a thread of another one
  }
  if (has_ended()) throw std::invalid_argument{process + " has ended"};
  if (pidfd_send_signal(descriptor_.get(), 0) == 0) return;
  if (errno == ESRCH) throw std::invalid_argument{process + " has ended"};
  throw std::invalid_argument{process + " is another user's: it could not be ended when the lock is lost"};
}

bool WatchedProcess::has_ended() const noexcept {
  pollfd end{descriptor_.get(), POLLIN, 0};
  return ::poll(&end, 1, 0) > 0;
}

void WatchedProcess::send(int signal) const noexcept { pidfd_send_signal(descriptor_.get(), signal); }

}  // namespace redismutex::cli
