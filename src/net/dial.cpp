#include "net/dial.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "net/plain_stream.hpp"

namespace redismutex::net {
namespace {

using Dialled = std::variant<Socket, Failure>;

Failure unreachable(int error) {
  const bool ours = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  return {ours ? Failure::Kind::exhausted : Failure::Kind::unreachable, std::generic_category().message(error)};
}

Dialled connect_to(int family, const sockaddr* address, socklen_t size, Deadline deadline, const Kick& kick) {
  Socket socket = Socket::open(family, SOCK_STREAM);
  if (!socket.valid()) return unreachable(errno);
  if (::connect(socket.get(), address, size) == 0) return socket;
  // A unix socket whose backlog is full says EAGAIN and can not be polled for: that is a refusal like any other.
  if (errno != EINPROGRESS) return unreachable(errno);
  switch (poll_until(socket.get(), POLLOUT, kick, deadline)) {
    case Polled::kicked: return Failure{Failure::Kind::cancelled, "cancelled"};
    case Polled::timed_out: return Failure{Failure::Kind::timed_out, "no answer while connecting"};
    case Polled::ready: break;
  }
  int error = 0;
  socklen_t error_size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  if (error != 0) return unreachable(error);
  return socket;
}

Dialled connect_unix(const std::string& path, Deadline deadline, const Kick& kick) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);  // the length was checked with the options
  return connect_to(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline, kick);
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

Dialled connect_to_any(const Addresses& addresses, const std::string& host, Deadline deadline, const Kick& kick) {
  Dialled last = Failure{Failure::Kind::unreachable, "'" + host + "' has no address"};
  for (const Address& address : addresses) {
    // An address that swallows packets must not use up the time of those after it.
    const auto now = std::chrono::steady_clock::now();
    const Deadline share = &address == &addresses.back() ? deadline : now + (deadline - now) / 2;
    last = connect_to(address.family(), address.get(), address.size, share, kick);
    if (const auto* socket = std::get_if<Socket>(&last)) {
      tune_tcp(socket->get());
      break;
    }
    if (std::get<Failure>(last).kind == Failure::Kind::cancelled) break;
  }
  return last;
}

}  // namespace

Dialler::Dialler(const ConnectionOptions& options) : options_{options}, resolver_{options.host, options.port} {
  if (options.tls && options.unix_socket.empty()) tls_ = make_tls(*options.tls);
}

std::variant<std::unique_ptr<Stream>, Failure> Dialler::dial(Deadline deadline, const std::stop_token& stop) {
  const Kick kick;
  const std::stop_callback on_stop{stop, [&kick] { kick.kick(); }};
  Dialled dialled = connect(deadline, kick);
  if (auto* failure = std::get_if<Failure>(&dialled)) return std::move(*failure);
  auto& socket = std::get<Socket>(dialled);
  if (tls_) {
    return tls_->connect(std::move(socket), options_.host, options_.command_timeout, deadline, kick);
  }
  return std::make_unique<PlainStream>(std::move(socket), options_.command_timeout);
}

std::variant<Socket, Failure> Dialler::connect(Deadline deadline, const Kick& kick) {
  if (!options_.unix_socket.empty()) return connect_unix(options_.unix_socket, deadline, kick);
  auto resolved = resolver_.resolve(deadline, kick);
  if (auto* failure = std::get_if<Failure>(&resolved)) return std::move(*failure);
  return connect_to_any(std::get<Addresses>(resolved), options_.host, deadline, kick);
}

}  // namespace redismutex::net
