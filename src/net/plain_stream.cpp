#include "net/plain_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace redismutex::net {
namespace {

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace

PlainStream::PlainStream(Socket socket) : socket_{std::move(socket)} {
  int domain = 0;
  socklen_t size = sizeof domain;
  ::getsockopt(fd(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  is_local_ = domain == AF_UNIX;
  const int flags = ::fcntl(fd(), F_GETFL);
  ::fcntl(fd(), F_SETFL, flags & ~O_NONBLOCK);
}

Stream::Transfer PlainStream::receive(std::span<char> buffer, int flags) {
  for (;;) {
    const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), flags);
    if (got > 0) return {Status::ok, static_cast<std::size_t>(got), {}};
    if (got == 0) return {Status::closed, 0, "the server closed the connection"};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Status::would_block, 0, {}};
    if (errno == EINTR && (flags & MSG_DONTWAIT) == 0) return {Status::would_block, 0, {}};
    if (errno != EINTR) return {Status::closed, 0, error_text(errno)};
  }
}

Stream::Transfer PlainStream::read_now(std::span<char> buffer) { return receive(buffer, MSG_DONTWAIT); }

Stream::Transfer PlainStream::read_blocking(std::span<char> buffer) {
  if (!is_local_) return receive(buffer, 0);
  // A server that reads from a unix socket wakes whoever sleeps in recv() at the other end, for nothing; not so those who sleep in poll(). Where
  // both are on one processor the server has to wait for that, and a pair with poll() is faster by a tenth. On two processors the thread is
  // awake when the answer comes, and a pair without poll() is faster by a fifth.
  return way_.choose([&](bool polls) -> Transfer {
    if (!polls) return receive(buffer, 0);
    pollfd polled{fd(), POLLIN, 0};
    if (::poll(&polled, 1, -1) <= 0) return {Status::would_block, 0, {}};
    return receive(buffer, MSG_DONTWAIT);
  });
}

Stream::Transfer PlainStream::write_now(std::string_view bytes) {
  for (;;) {
    const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return {Status::ok, static_cast<std::size_t>(sent), {}};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Status::would_block, 0, {}};
    if (errno != EINTR) return {Status::closed, 0, error_text(errno)};
  }
}

void PlainStream::shut_down() noexcept { ::shutdown(fd(), SHUT_RDWR); }

}  // namespace redismutex::net
