#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "support/posix.hpp"

namespace redismutex::testing {

/// A client that sends and reads plain bytes on a port of 127.0.0.1.
class TcpClient {
 public:
  /// Throws std::system_error if it is refused.
  explicit TcpClient(std::uint16_t port)
      : socket_(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
  }

  int descriptor() const noexcept { return socket_.get(); }

  void send(const std::string& text) const {
    checked(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL), "send");
  }

  /// What comes next, "FIN" or "RST" for the end of the connection, "" for nothing within `longest`.
  std::string receive(std::chrono::milliseconds longest) const {
    pollfd waiting{socket_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(longest.count())) == 0) return "";
    std::array<char, 4096> buffer;
    const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == ECONNRESET) return "RST";
    return checked(size, "recv") == 0 ? "FIN" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

 private:
  Descriptor socket_;
};

/// The errno of trying to connect to a port of 127.0.0.1; 0 if it works.
inline int error_of_connecting(std::uint16_t port) {
  try {
    const TcpClient client(port);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

}  // namespace redismutex::testing
