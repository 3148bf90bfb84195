#include "net/socket.hpp"

#include <sys/socket.h>

#include <utility>

#include "net/fork.hpp"

namespace redismutex::net {

Socket Socket::opened_by(const std::function<int()>& open) {
  Socket socket;
  socket.fork_generation_ = fork_generation();
  socket.fd_ = keep_from_children(open);
  return socket;
}

Socket Socket::open(int family, int type) {
  return opened_by([&] { return ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); });
}

Socket::Socket(Socket&& other) noexcept : fd_{std::exchange(other.fd_, -1)}, fork_generation_{other.fork_generation_} {}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    fork_generation_ = other.fork_generation_;
  }
  return *this;
}

Socket::~Socket() { close(); }

void Socket::close() noexcept {
  if (valid() && fork_generation_ == fork_generation()) close_kept(fd_);
}

}  // namespace redismutex::net
