#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace redismutex::cli {

/// The process that started us may have closed stdin, stdout or stderr. Our sockets must not take their numbers, or what is meant for
/// stderr would go to the server. A program that we start finds them closed again.
inline void occupy_standard_descriptors() {
  while (true) {
    const int number = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (number > STDERR_FILENO) ::close(number);
    if (number < 0 || number > STDERR_FILENO) return;
  }
}

}  // namespace redismutex::cli
