#pragma once

#include <memory>
#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/resolve.hpp"
#include "net/socket.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"

namespace redismutex::net {

/// Opens sockets to one server. For one thread at a time.
class Dialler {
 public:
  /// `options` must outlive this object.
  explicit Dialler(const ConnectionOptions& options);

  /// Looks up the server's host, tries all its addresses, and shakes hands if it is to be TLS. Interruptible at any time.
  std::variant<std::unique_ptr<Stream>, Failure> dial(Deadline deadline, const std::stop_token& stop);

 private:
  std::variant<Socket, Failure> connect(Deadline deadline, const Kick& kick);

  const ConnectionOptions& options_;
  Resolver resolver_;
  std::unique_ptr<Tls> tls_;  // if the server is spoken to in TLS
};

}  // namespace redismutex::net
