#pragma once

#include <openssl/types.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <redismutex/connection_options.hpp>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/fork.hpp"
#include "net/tls.hpp"

namespace redismutex::net {

/// For as long as a thread calls OpenSSL: its locks are not to be copied while they are held, see HoldsOffFork. What OpenSSL
/// keeps for the thread goes at the thread's end, and that takes them too.
class UsesOpenSsl {
 public:
  UsesOpenSsl() noexcept;

 private:
  HoldsOffFork no_fork_;
};

/// What all TLS connections to one server have in common: whom we trust, and who we are. For one thread at a time.
class TlsContext final : public Tls {
 public:
  explicit TlsContext(TlsOptions options) : options_{std::move(options)} {}

  std::variant<std::unique_ptr<TlsHandshake>, Failure> begin(Socket socket, const std::string& host) override;

  /// The context, of this object's lifetime. Its files are read the first time, and again when one has changed since: a
  /// certificate that was renewed is used from the next connection on.
  std::variant<SSL_CTX*, Failure> load();

  const TlsOptions& options() const noexcept { return options_; }

  /// Whether the server wanted a certificate of ours, and there was none to give.
  static bool was_asked_for_certificate(const SSL* session);

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const noexcept;
  };
  using Context = std::unique_ptr<SSL_CTX, FreeContext>;

  /// What tells a file from another one of its name.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    time_t changed_s = 0;
    long changed_ns = 0;

    bool operator==(const Version&) const = default;
  };
  using Versions = std::array<Version, 3>;

  Versions versions() const;
  std::string load_files(SSL_CTX* context) const;

  const TlsOptions options_;
  Versions loaded_{};
  Context context_;
};

/// The most telling entry of this thread's OpenSSL error queue, which is emptied.
std::string tls_reason();

/// An `unusable` failure with that.
Failure tls_failure(const std::string& what);

}  // namespace redismutex::net
