#include "net/tls_context.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <utility>

namespace redismutex::net {
namespace {

/// Goes before what OpenSSL itself has the thread do at its end.
struct ThreadsEnd {
  ~ThreadsEnd() {
    const HoldsOffFork no_fork;
    OPENSSL_thread_stop();
  }
};

/// Called when the server asks for a client's certificate and none is given: remembers that for the error.
int note_certificate_request(SSL* session, X509** /*certificate*/, EVP_PKEY** /*key*/) {
  SSL_set_app_data(session, session);
  return 0;
}

/// Called when a file is encrypted. OpenSSL's own way would be to ask for the passphrase at the terminal, and to wait there.
int note_passphrase_request(char* /*passphrase*/, int /*size*/, int /*rwflag*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

/// OpenSSL would shut itself down when main() returns, under the feet of threads that still use it, and for good: objects with
/// static storage could not connect any more. Asks it not to; that helps if nobody used OpenSSL before. False: it is shut down.
bool start_openssl() { return OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr) == 1; }

}  // namespace

UsesOpenSsl::UsesOpenSsl() noexcept { thread_local const ThreadsEnd end; }

void TlsContext::FreeContext::operator()(SSL_CTX* context) const noexcept {
  const UsesOpenSsl openssl;
  SSL_CTX_free(context);
}

bool TlsContext::was_asked_for_certificate(const SSL* session) { return SSL_get_app_data(session) != nullptr; }

std::variant<SSL_CTX*, Failure> TlsContext::load() {
  const UsesOpenSsl openssl;
  if (!start_openssl()) {
    return Failure{
        Failure::Kind::unusable,
        "TLS: OpenSSL has shut down, as it does at the end of main() when the program used it before redismutex did; "
        "connect earlier, or begin main() with OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr)"};
  }
  const Versions there = versions();
  if (context_ && there == loaded_) return context_.get();

  ERR_clear_error();
  Context context{SSL_CTX_new(TLS_client_method())};
  if (!context) return tls_failure("cannot create a context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);  // so that a write never waits for something to read
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context.get(), options_.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  bool asked_for_passphrase = false;
  SSL_CTX_set_default_passwd_cb(context.get(), note_passphrase_request);
  SSL_CTX_set_default_passwd_cb_userdata(context.get(), &asked_for_passphrase);
  const std::string problem = load_files(context.get());
  if (asked_for_passphrase) {
    ERR_clear_error();
    return Failure{Failure::Kind::unusable,
                   "TLS: " + problem +
                       ": it is encrypted, and there is nobody to ask for the passphrase; give "
                       "a key without one (openssl pkey -in FILE -out NEW writes it)"};
  }
  if (!problem.empty()) return tls_failure(problem);
  SSL_CTX_set_default_passwd_cb_userdata(context.get(), nullptr);
  if (options_.certificate_file.empty()) SSL_CTX_set_client_cert_cb(context.get(), note_certificate_request);
  context_ = std::move(context);
  loaded_ = there;
  return context_.get();
}

TlsContext::Versions TlsContext::versions() const {
  const auto version = [](const std::string& file) {
    struct stat status {};
    if (file.empty() || ::stat(file.c_str(), &status) != 0) return Version{};
    return Version{status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  };
  return {version(options_.ca_file), version(options_.certificate_file), version(options_.key_file)};
}

/// Empty when all files could be loaded.
std::string TlsContext::load_files(SSL_CTX* context) const {
  if (!options_.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(context, options_.ca_file.c_str()) != 1)
      return "cannot load ca_file " + options_.ca_file;
  } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
    return "cannot load the system's certificate authorities";
  }
  if (options_.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, options_.certificate_file.c_str()) != 1) {
    return "cannot load certificate_file " + options_.certificate_file;
  }
  if (SSL_CTX_use_PrivateKey_file(context, options_.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return "cannot load key_file " + options_.key_file;
  }
  return {};
}

std::string tls_reason() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(error);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

Failure tls_failure(const std::string& what) { return {Failure::Kind::unusable, "TLS: " + what + ": " + tls_reason()}; }

}  // namespace redismutex::net
