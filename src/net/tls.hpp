#pragma once

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

/// A TLS handshake over a connected socket, in steps.
class TlsHandshake {
 public:
  virtual ~TlsHandshake() = default;

  /// Does what can be done now. An untrusted, expired or misnamed certificate is `unusable`, with OpenSSL's own reason.
  virtual std::variant<Awaited, std::unique_ptr<Stream>, Failure> step() = 0;
};

/// Makes TLS of the connections to one server. For one thread at a time; must outlive the handshakes.
class Tls {
 public:
  virtual ~Tls() = default;

  /// Begins a handshake. `host` is what the certificate must carry unless the options name another; `timeout` bounds each blocking
  /// read of the stream that it yields.
  virtual std::variant<std::unique_ptr<TlsHandshake>, Failure> begin(Socket socket, const std::string& host) = 0;
};

/// In a library without TLS: one that refuses every connection, before anything is sent.
std::unique_ptr<Tls> make_tls(const TlsOptions& options);

}  // namespace redismutex::net
