#include "net/connector.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace redismutex::net {
namespace {

Failure unreachable(int error) {
  const bool ours = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  return {ours ? Failure::Kind::exhausted : Failure::Kind::unreachable, std::generic_category().message(error)};
}

Address unix_address(const std::string& path) {
  sockaddr_un named{};
  named.sun_family = AF_UNIX;
  std::memcpy(named.sun_path, path.c_str(), path.size() + 1);
  Address address{.size = sizeof named};
  std::memcpy(&address.bytes, &named, sizeof named);
  return address;
}

void tune_tcp(int fd) {
  const auto set = [fd](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // A peer that vanished is noticed within half a minute even on an idle connection.
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

Connector::Connector(Addresses addresses, const std::string& host, Deadline limit)
    : addresses_{std::move(addresses)},
      limit_{limit},
      last_{Failure::Kind::unreachable, std::string{"'"}.append(host).append("' has no address")} {}

Connector::Connector(const std::string& unix_socket, Deadline limit)
    : addresses_{unix_address(unix_socket)}, limit_{limit}, last_{Failure::Kind::unreachable, {}} {}

std::variant<Awaited, Socket, Failure> Connector::step(Deadline now) {
  for (;;) {
    if (!socket_.valid()) {
      if (next_ == addresses_.size()) return std::move(last_);
      if (!open_next(now)) continue;
    } else if (!is_decided(now)) {
      return Awaited{.fd = socket_.get(), .events = POLLOUT, .until = share_};
    }
    if (!socket_.valid()) continue;
    if (addresses_.front().family() != AF_UNIX) tune_tcp(socket_.get());
    return std::move(socket_);
  }
}

/// Begins with the next address. Whether it is connected already.
bool Connector::open_next(Deadline now) {
  const Address& address = addresses_[next_++];
  socket_ = Socket::open(address.family(), SOCK_STREAM);
  if (!socket_.valid()) {
    last_ = unreachable(errno);
    return false;
  }
  if (::connect(socket_.get(), address.get(), address.size) == 0) return true;
  // A unix socket whose backlog is full says EAGAIN and can not be polled for: that is a refusal like any other.
  if (errno != EINPROGRESS) {
    last_ = unreachable(errno);
    socket_ = {};
    return false;
  }
  // An address that swallows packets must not use up the time of those after it.
  share_ = next_ == addresses_.size() ? limit_ : now + (limit_ - now) / 2;
  return false;
}

/// Whether it is known if the present address is the one: then there still is a socket.
bool Connector::is_decided(Deadline now) {
  pollfd polled{socket_.get(), POLLOUT, 0};
  if (::poll(&polled, 1, 0) <= 0) {
    if (now < share_) return false;
    last_ = {Failure::Kind::timed_out, "no answer while connecting"};
    socket_ = {};
    return true;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    last_ = unreachable(error);
    socket_ = {};
  }
  return true;
}

}  // namespace redismutex::net
