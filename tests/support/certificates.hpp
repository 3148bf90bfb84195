#pragma once

#include <string>

#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {

/// PEM files of a certificate and its private key.
struct KeyPair {
  std::string certificate_file;
  std::string key_file;
};

/// New certificates for TLS tests, in a directory of their own. All but the last authority are of one family.
class Certificates {
 public:
  Certificates();

  /// The authority that signed everything below: what a client should trust.
  const std::string& ca_file() const noexcept { return ca_.certificate_file; }

  /// Good for localhost, 127.0.0.1 and ::1.
  const KeyPair& server() const noexcept { return server_; }

  /// As server(), but no longer valid since yesterday.
  const KeyPair& expired_server() const noexcept { return expired_server_; }

  /// Good for elsewhere.example only.
  const KeyPair& wrong_name_server() const noexcept { return wrong_name_server_; }

  /// For a client to show.
  const KeyPair& client() const noexcept { return client_; }

  /// client() with its key encrypted, in each of the two ways that a PEM file may be.
  const KeyPair& encrypted_client() const noexcept { return encrypted_client_; }
  const KeyPair& traditionally_encrypted_client() const noexcept { return traditionally_encrypted_client_; }

  /// An authority that signed none of these.
  const std::string& other_ca_file() const noexcept { return other_ca_.certificate_file; }

  /// For ServerOptions::tls: a server that shows `pair`.
  ServerTls tls(const KeyPair& pair) const { return {pair.certificate_file, pair.key_file, ca_file()}; }

 private:
  TempDir directory_;
  KeyPair ca_;
  KeyPair other_ca_;
  KeyPair server_;
  KeyPair expired_server_;
  KeyPair wrong_name_server_;
  KeyPair client_;
  KeyPair encrypted_client_;
  KeyPair traditionally_encrypted_client_;
};

}  // namespace redismutex::testing
