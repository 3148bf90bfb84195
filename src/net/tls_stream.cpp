#include "net/tls_stream.hpp"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <new>
#include <system_error>
#include <utility>

namespace redismutex::net {
namespace {

// OpenSSL's own socket BIO writes with write(), which raises SIGPIPE on a broken connection and so would kill programs
// that know nothing of our sockets. This one sends with MSG_NOSIGNAL and is otherwise the same.

int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int send_quietly(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int receive(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO* make_quiet_bio(int fd) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (made == nullptr || BIO_meth_set_write(made, send_quietly) != 1 || BIO_meth_set_read(made, receive) != 1 ||
        BIO_meth_set_ctrl(made, control) != 1) {
      throw std::bad_alloc{};
    }
    return made;
  }();
  BIO* bio = BIO_new(method);
  if (bio == nullptr) throw std::bad_alloc{};
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

bool is_ip_address(const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> address{a2i_IPADDRESS(host.c_str()),
                                                                                      &ASN1_OCTET_STRING_free};
  ERR_clear_error();
  return address != nullptr;
}

void expect_name(SSL* session, const std::string& name) {
  if (is_ip_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name.c_str());
  } else {
    SSL_set_tlsext_host_name(session, name.c_str());
    SSL_set1_host(session, name.c_str());
  }
}

constexpr const char* closed_by_server = "the server closed the connection";

std::string system_reason() { return errno != 0 ? std::generic_category().message(errno) : closed_by_server; }

Failure handshake_failure(SSL* session, const std::string& host, int error) {
  const long verified = SSL_get_verify_result(session);
  if (SSL_get_verify_mode(session) != SSL_VERIFY_NONE && verified != X509_V_OK) {
    ERR_clear_error();
    return {Failure::Kind::unusable,
            "TLS: the certificate of " + host + " is not accepted: " + X509_verify_cert_error_string(verified)};
  }
  if (error == SSL_ERROR_SYSCALL) {
    ERR_clear_error();
    return {Failure::Kind::unreachable, "TLS handshake with " + host + ": " + system_reason()};
  }
  Failure failure = tls_failure("handshake with " + host);
  if (TlsContext::was_asked_for_certificate(session)) {
    failure.text += "; the server asks for a client certificate, and none is given";
  }
  return failure;
}

/// Why a read or write moved nothing.
Stream::Transfer not_moved(SSL* session, int result) {
  switch (SSL_get_error(session, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {Stream::Status::would_block, 0, {}};
    case SSL_ERROR_ZERO_RETURN: return {Stream::Status::closed, 0, closed_by_server};
    case SSL_ERROR_SYSCALL: return {Stream::Status::closed, 0, system_reason()};
    // With TLS 1.3 a refused client certificate is reported only here, after the handshake, by an alert.
    default: {
      const bool is_alert = ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
      return {is_alert ? Stream::Status::refused : Stream::Status::closed, 0, "TLS: " + tls_reason()};
    }
  }
}

}  // namespace

void TlsStream::FreeSession::operator()(SSL* session) const noexcept {
  const UsesOpenSsl openssl;
  SSL_free(session);
}

std::variant<TlsStream::Session, Failure> TlsStream::make_session(TlsContext& tls, const std::string& host, int fd) {
  const UsesOpenSsl openssl;
  auto loaded = tls.load();
  if (auto* failure = std::get_if<Failure>(&loaded)) return std::move(*failure);
  Session session{SSL_new(std::get<SSL_CTX*>(loaded))};
  if (!session) return tls_failure("cannot create a session");
  BIO* const bio = make_quiet_bio(fd);
  SSL_set_bio(session.get(), bio, bio);
  const std::string& name = tls.options().server_name;
  expect_name(session.get(), name.empty() ? host : name);
  return session;
}

class TlsStream::Handshake final : public TlsHandshake {
 public:
  Handshake(Socket socket, Session session, std::string host)
      : socket_{std::move(socket)}, session_{std::move(session)}, host_{std::move(host)} {}

  std::variant<Awaited, std::unique_ptr<Stream>, Failure> step() override {
    {
      const UsesOpenSsl openssl;
      ERR_clear_error();
      errno = 0;
      if (const int result = SSL_connect(session_.get()); result != 1) {
        const int error = SSL_get_error(session_.get(), result);
        if (error == SSL_ERROR_WANT_READ) return Awaited{.fd = socket_.get(), .events = POLLIN};
        if (error == SSL_ERROR_WANT_WRITE) return Awaited{.fd = socket_.get(), .events = POLLOUT};
        return handshake_failure(session_.get(), host_, error);
      }
    }
    return std::unique_ptr<Stream>{new TlsStream{std::move(socket_), std::move(session_)}};
  }

 private:
  Socket socket_;
  Session session_;
  const std::string host_;
};

std::variant<std::unique_ptr<TlsHandshake>, Failure> TlsStream::begin(Socket socket, TlsContext& tls,
                                                                      const std::string& host) {
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  auto made = make_session(tls, host, socket.get());
  if (auto* failure = std::get_if<Failure>(&made)) return std::move(*failure);
  return std::make_unique<Handshake>(std::move(socket), std::move(std::get<Session>(made)), host);
}

TlsStream::TlsStream(Socket socket, Session session) : socket_{std::move(socket)}, session_{std::move(session)} {}

TlsStream::~TlsStream() = default;

Stream::Transfer TlsStream::read_now(std::span<char> buffer) {
  const std::lock_guard lock{mutex_};
  const UsesOpenSsl openssl;
  ERR_clear_error();
  errno = 0;
  std::size_t got = 0;
  const int result = SSL_read_ex(session_.get(), buffer.data(), buffer.size(), &got);
  if (result == 1) return {Status::ok, got, {}};
  return not_moved(session_.get(), result);
}

Stream::Transfer TlsStream::read_blocking(std::span<char> buffer) {
  for (;;) {
    Transfer read = read_now(buffer);
    if (read.status != Status::would_block) return read;
    pollfd polled{fd(), POLLIN, 0};
    if (::poll(&polled, 1, -1) <= 0) return read;
  }
}

bool TlsStream::has_buffered() {
  const std::lock_guard lock{mutex_};
  return SSL_pending(session_.get()) > 0;
}

Stream::Transfer TlsStream::write_now(std::string_view bytes) {
  const std::lock_guard lock{mutex_};
  const UsesOpenSsl openssl;
  ERR_clear_error();
  errno = 0;
  std::size_t written = 0;
  const int result = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &written);
  if (result == 1) return {Status::ok, written, {}};
  return not_moved(session_.get(), result);
}

void TlsStream::shut_down() noexcept { ::shutdown(fd(), SHUT_RDWR); }

}  // namespace redismutex::net
