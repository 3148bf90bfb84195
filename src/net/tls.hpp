#pragma once

#include <chrono>
#include <memory>
#include <redismutex/connection_options.hpp>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/socket.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

/// Whether this library was built with TLS: see REDISMUTEX_TLS in CMakeLists.txt.
bool has_tls() noexcept;

/// Makes TLS of the connections to one server. For one thread at a time.
class Tls {
 public:
  virtual ~Tls() = default;

  /// Shakes hands over a connected socket. See TlsStream::connect.
  virtual std::variant<std::unique_ptr<Stream>, Failure> connect(Socket socket, const std::string& host,
                                                                 Deadline deadline,
                                                                 const Kick& kick) = 0;
};

/// In a library without TLS: one that refuses every connection, before anything is sent.
std::unique_ptr<Tls> make_tls(const TlsOptions& options);

}  // namespace redismutex::net
