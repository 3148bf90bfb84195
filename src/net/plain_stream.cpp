#include "net/plain_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace redismutex::net {
namespace {

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace

PlainStream::PlainStream(Socket socket, std::chrono::milliseconds timeout) : socket_{std::move(socket)} {
  // The kernel's own timeout lets a reader sleep in recv() itself, with no poll() before it: one system call a reply.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timeval value{.tv_sec = seconds.count(),
                      .tv_usec = std::chrono::duration_cast<std::chrono::microseconds>(timeout - seconds).count()};
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
  const int flags = ::fcntl(fd(), F_GETFL);
  ::fcntl(fd(), F_SETFL, flags & ~O_NONBLOCK);
}

Stream::Transfer PlainStream::receive(std::span<char> buffer, int flags) {
  for (;;) {
    const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), flags);
    if (got > 0) return {Status::ok, static_cast<std::size_t>(got), {}};
    if (got == 0) return {Status::closed, 0, "the server closed the connection"};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Status::would_block, 0, {}};
    // The kernel's timeout would start anew after a signal.
    if (errno == EINTR && (flags & MSG_DONTWAIT) == 0) return {Status::would_block, 0, {}};
    if (errno != EINTR) return {Status::closed, 0, error_text(errno)};
  }
}

Stream::Transfer PlainStream::read_now(std::span<char> buffer) { return receive(buffer, MSG_DONTWAIT); }

Stream::Transfer PlainStream::read_blocking(std::span<char> buffer) { return receive(buffer, 0); }

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
