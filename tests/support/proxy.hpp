#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "support/server.hpp"

namespace redismutex::testing {

/// Which way bytes go through a Proxy: requests from client to server, replies (and pushes) from server to client.
enum class Direction { requests, replies };

/// How a connection is cut: in good order, or by a reset (the client's next read fails with ECONNRESET).
enum class Ending { fin, rst };

/// A network that can fail: a TCP proxy on 127.0.0.1 before a server, run by a thread of its own. Passes everything on
/// until told otherwise.
///
/// Thread-safe. A fault is in force when the call that asks for it returns; it concerns all connections, also later
/// ones. Faults add up until pass(). Forked children may connect to it but must not call it.
class Proxy {
 public:
  /// Before the server's unix socket.
  explicit Proxy(const Server& server);

  /// Before a TCP port of 127.0.0.1, such as server.tls_port().
  explicit Proxy(std::uint16_t server_port);

  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  std::uint16_t port() const noexcept { return port_; }

  /// "redis://127.0.0.1:port", without any password.
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

  /// The next connections go to this server's unix socket; those that are stay where they are.
  void lead_to(const Server& server);

  /// A sound network again. What freeze() held back now goes its way.
  void pass();

  /// Passes bytes on `duration` later than they came, in order.
  void delay(Direction direction, std::chrono::milliseconds duration);

  /// Lets the bytes of one direction disappear: with `replies`, the server acts but no answer arrives.
  void swallow(Direction direction);

  /// Half-open: nothing goes either way, not even an ending, while all connections stay up and new ones succeed.
  void freeze();

  /// Refuses new connections (ECONNREFUSED); those that are stay.
  void refuse();

  /// Passes `bytes` more of one direction and then cuts the connection that carried the last of them; with 0, that on
  /// which the next byte comes. Cuts once.
  void cut_after(Direction direction, std::size_t bytes, Ending ending);

  /// Cuts all connections there are now.
  void cut_all(Ending ending);

  /// How many connections were accepted so far.
  long connections() const;

  /// How many bytes were passed on so far.
  std::size_t bytes(Direction direction) const;

 private:
  class Loop;

  std::unique_ptr<Loop> loop_;
  std::uint16_t port_;
};

}  // namespace redismutex::testing
