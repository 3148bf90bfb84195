#include "memory/stream.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace redismutex::memory {

Stream::~Stream() { host_->client_left(connection_, fd_); }

Stream::Transfer Stream::read_now(std::span<char> buffer) {
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      host_->client_read(connection_);
      return {Status::ok, static_cast<std::size_t>(got), {}};
    }
    if (got == 0) return {Status::closed, 0, "the server closed the connection"};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Status::would_block, 0, {}};
    if (errno != EINTR) return {Status::closed, 0, std::generic_category().message(errno)};
  }
}

Stream::Transfer Stream::read_blocking(std::span<char> buffer) {
  pollfd polled{fd_, POLLIN, 0};
  if (::poll(&polled, 1, -1) <= 0) return {Status::would_block, 0, {}};
  return read_now(buffer);
}

Stream::Transfer Stream::write_now(std::string_view bytes) { return host_->receive(connection_, bytes); }

void Stream::shut_down() noexcept {
  ::shutdown(fd_, SHUT_RDWR);
  host_->client_shut_down(connection_);
}

}  // namespace redismutex::memory
