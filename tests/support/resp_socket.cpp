#include "support/resp_socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "net/command.hpp"

namespace redismutex::testing {

RespSocket RespSocket::to_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error{path + ": too long for a socket"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor socket{checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  checked(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  return RespSocket{std::move(socket)};
}

RespSocket RespSocket::to_tcp(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) throw std::runtime_error{host + ": " + ::gai_strerror(error)};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses{list, &::freeaddrinfo};
  for (const addrinfo* address = list; address != nullptr; address = address->ai_next) {
    Descriptor socket{checked(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    if (::connect(socket.get(), address->ai_addr, address->ai_addrlen) != 0) continue;
    const int on = 1;
    checked(::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
    return RespSocket{std::move(socket)};
  }
  throw std::runtime_error{host + ":" + std::to_string(port) + ": cannot connect"};
}

void RespSocket::set_time_limit(std::chrono::milliseconds limit) {
  const timeval value{.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
  checked(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value), "setsockopt");
  checked(::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value), "setsockopt");
}

bool RespSocket::closed() const {
  char next = 0;
  const ssize_t there = ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  return there == 0 || (there < 0 && errno != EAGAIN && errno != EINTR);
}

void RespSocket::send(std::span<const std::string_view> arguments) {
  outgoing_.clear();
  net::append_command(outgoing_, arguments);
  for (std::string_view left = outgoing_; !left.empty();) {
    const ssize_t sent = ::send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    left.remove_prefix(static_cast<std::size_t>(checked(sent, "send")));
  }
}

net::Reply RespSocket::receive() {
  for (;;) {
    if (net::Reply reply = parsed()) return reply;
    read();
  }
}

net::Reply RespSocket::receive(std::chrono::milliseconds limit) {
  for (;;) {
    if (net::Reply reply = parsed()) return reply;
    pollfd polled{socket_.get(), POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(limit.count())) <= 0) return {};
    read();
  }
}

net::Reply RespSocket::parsed() {
  if (const auto reply = resp_.next()) return net::Reply{*reply};
  if (!resp_.problem().empty()) throw std::runtime_error{resp_.problem()};
  return {};
}

void RespSocket::read() {
  std::array<char, 16 * 1024> buffer;
  ssize_t got = 0;
  do {
    got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (checked(got, "recv") == 0) throw std::runtime_error{"the server closed the connection"};
  resp_.feed({buffer.data(), static_cast<std::size_t>(got)});
}

}  // namespace redismutex::testing
