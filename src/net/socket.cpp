#include "net/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
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

std::string peer_of(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address); address.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return std::string{text.data()} + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address); address.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return std::string{"["}.append(text.data()).append("]:").append(std::to_string(ntohs(v6->sin6_port)));
  }
  return reinterpret_cast<const sockaddr_un*>(&address)->sun_path;
}

}  // namespace redismutex::net
