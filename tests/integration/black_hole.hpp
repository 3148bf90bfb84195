#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/posix.hpp"

namespace redismutex::testing {

/// A port of 127.0.0.1 that never answers, not even with a refusal: its queue of new connections is full, so the kernel
/// drops whatever else comes.
class BlackHole {
 public:
  BlackHole() {
    checked(::bind(listener_.get(), address(), sizeof address_), "bind");
    socklen_t size = sizeof address_;
    checked(::getsockname(listener_.get(), address(), &size), "getsockname");
    checked(::listen(listener_.get(), 0), "listen");
    do {
      waiting_.push_back(socket());
      ::connect(waiting_.back().get(), address(), sizeof address_);
    } while (is_connected(waiting_.back()));
  }

  std::uint16_t port() const { return ntohs(address_.sin_port); }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port()); }

 private:
  static Descriptor socket() {
    return Descriptor(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  }

  static bool is_connected(const Descriptor& socket) {
    constexpr int patience_ms = 50;
    pollfd polled{socket.get(), POLLOUT, 0};
    return ::poll(&polled, 1, patience_ms) == 1;
  }

  sockaddr* address() { return reinterpret_cast<sockaddr*>(&address_); }

  sockaddr_in address_{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  Descriptor listener_ = socket();
  std::vector<Descriptor> waiting_;
};

}  // namespace redismutex::testing
