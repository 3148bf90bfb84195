#include "cluster/sends.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

namespace {

std::atomic<long long> sends{0};

}  // namespace

/// In place of the C library's, for all of the program.
extern "C" ssize_t send(int fd, const void* bytes, std::size_t count, int flags) {
  ++sends;
  return ::syscall(SYS_sendto, fd, bytes, count, flags, nullptr, 0);
}

namespace redismutex::testing {

long long count_sends(const std::function<void()>& meanwhile) {
  const long long before = sends;
  meanwhile();
  return sends - before;
}

}  // namespace redismutex::testing
