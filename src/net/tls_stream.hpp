#pragma once

#include <openssl/types.h>

#include <memory>
#include <mutex>
#include <redismutex/connection_options.hpp>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/socket.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"
#include "net/tls_context.hpp"

namespace redismutex::net {

/// TLS over a socket. OpenSSL allows no reader beside a writer in one session, so each call takes a lock; nobody sleeps
/// while holding it.
class TlsStream final : public Stream {
 public:
  /// See Tls::begin.
  static std::variant<std::unique_ptr<TlsHandshake>, Failure> begin(Socket socket, TlsContext& tls,
                                                                    const std::string& host);
  ~TlsStream() override;

  Transfer read_now(std::span<char> buffer) override;
  Transfer read_blocking(std::span<char> buffer) override;
  bool has_buffered() override;
  Transfer write_now(std::string_view bytes) override;
  void shut_down() noexcept override;
  int fd() const noexcept override { return socket_.get(); }

 private:
  class Handshake;
  struct FreeSession {
    void operator()(SSL* session) const noexcept;
  };
  using Session = std::unique_ptr<SSL, FreeSession>;

  TlsStream(Socket socket, Session session);
  static std::variant<Session, Failure> make_session(TlsContext& tls, const std::string& host, int fd);

  std::mutex mutex_;  // guards session_
  Socket socket_;
  Session session_;
};

}  // namespace redismutex::net
