#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/resolve.hpp"
#include "net/socket.hpp"

namespace redismutex::net {

/// Connects a socket to the first of a server's addresses that takes it, in steps.
class Connector {
 public:
  /// `host` is for people. All addresses together may take until `limit`.
  Connector(Addresses addresses, const std::string& host, Deadline limit);

  /// To a unix socket; the length of the path was checked with the options.
  Connector(const std::string& unix_socket, Deadline limit);

  /// Does what can be done now. When `limit` has passed, there is a Failure.
  std::variant<Awaited, Socket, Failure> step(Deadline now);

 private:
  bool open_next(Deadline now);
  bool is_decided(Deadline now);

  const Addresses addresses_;
  const Deadline limit_;
  std::size_t next_ = 0;  // of addresses_
  Socket socket_;         // of the one before, while it is tried
  Deadline share_{};      // how long that may take
  Failure last_;          // why the one before that is not the one
};

}  // namespace redismutex::net
