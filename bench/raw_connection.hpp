#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

#include "net/reply.hpp"
#include "support/resp_socket.hpp"

namespace redismutex::bench {

/// Bare commands in the calling thread: one send() and one recv() each.
class RawConnection {
 public:
  /// Connects. Throws std::runtime_error, as all functions here do.
  explicit RawConnection(const std::string& url);

  /// A server's refusal throws too.
  net::Reply command(std::initializer_list<std::string_view> arguments);

  /// The next thing that comes by itself, or none after `limit`.
  net::Reply next(std::chrono::milliseconds limit) { return socket_.receive(limit); }

 private:
  testing::RespSocket socket_;
};

}  // namespace redismutex::bench
