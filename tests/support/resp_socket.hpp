#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "net/reply.hpp"
#include "net/resp.hpp"
#include "support/posix.hpp"

namespace redismutex::testing {

/// A connection to a server for one thread, which sends and receives itself: one send() for each command, and for each reply
/// as a rule one recv(). It reads replies with the library's own parser, and larger ones than the library does. All functions throw std::runtime_error.
class RespSocket {
 public:
  static RespSocket to_unix(const std::string& path);
  static RespSocket to_tcp(const std::string& host, std::uint16_t port);

  /// From now on nothing blocks for longer.
  void set_time_limit(std::chrono::milliseconds limit);

  /// Whether the peer has closed it, and all that it sent before was received.
  bool closed() const;

  void send(std::span<const std::string_view> arguments);

  /// The next reply, or push.
  net::Reply receive();

  /// The same, or none if nothing comes for so long.
  net::Reply receive(std::chrono::milliseconds limit);

 private:
  explicit RespSocket(Descriptor socket) : socket_{std::move(socket)} {}
  net::Reply parsed();
  void read();

  Descriptor socket_;
  net::Resp resp_{{.size = std::size_t{1} << 28U, .elements = std::int64_t{1} << 24U, .values = std::size_t{1} << 26U}};
  std::string outgoing_;
};

}  // namespace redismutex::testing
