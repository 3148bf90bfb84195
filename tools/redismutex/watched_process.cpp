#include "watched_process.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <new>
#include <redismutex/printable.hpp>
#include <stdexcept>
#include <string>

namespace redismutex::cli {
namespace {

// The C library has these since its version 2.36.
int pidfd_open(pid_t process) { return static_cast<int>(::syscall(SYS_pidfd_open, process, 0)); }
int pidfd_getfd(int process, int number) { return static_cast<int>(::syscall(SYS_pidfd_getfd, process, number, 0)); }
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

/// In a process of its own: whoever reads there, or the disk behind it, may stand still, and this one has to go on.
void WatchedProcess::tell(std::string_view text) const noexcept try {
  const Descriptor out{pidfd_getfd(descriptor_.get(), STDERR_FILENO)};
  if (!out) return;
  const auto line = printable("redismutex: " + std::string{text}, PIPE_BUF - 1) + '\n';
  if (::_Fork() != 0) return;
  // Should it hang, then with nothing else of ours: neither the connection nor a lock of a file.
  ::dup2(out.get(), STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(0);
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it is not told
}

}  // namespace redismutex::cli
