#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <redismutex/observer.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// TLS towards the server, TLS 1.2 or newer.
struct TlsOptions {
  /// PEM file with the certificate authorities to trust; empty: the system's.
  std::string ca_file;

  /// PEM files of the client's own certificate and key, for servers that ask for one; both or neither. The key must not be
  /// encrypted: there is nobody to ask for a passphrase.
  std::string certificate_file, key_file;

  /// The name to ask for (SNI) and to find in the server's certificate; empty: the host.
  std::string server_name;

  /// Whether the server's certificate must be valid and carry the right name. Without it anyone on the path can read and
  /// change everything: for experiments only.
  bool verify = true;
};

/// What a connection logs in with: as ConnectionOptions::username and password.
struct Credentials {
  std::string username, password;
};

/// Where a server listens.
struct ServerAddress {
  std::string host;  ///< a name, or an address of the internet
  std::uint16_t port = 0;

  friend bool operator==(const ServerAddress&, const ServerAddress&) = default;
};

/// How to reach the server, or servers: everything a URL can say, and more.
struct ConnectionOptions {
  /// Of the kind `single`.
  std::string host = "localhost";
  std::uint16_t port = 6379;

  /// The database; 0 in a cluster.
  int db = 0;

  /// Path of a unix socket; when set, host, port and tls are not used.
  std::string unix_socket;

  /// Name of a server inside this process, for tests, see redismutex/testing.hpp; when set, host and port are not used, and there are
  /// no tls, users and databases. `memory:NAME` in a URL.
  std::string memory;

  /// ACL user and password; an empty username with a password is the server's `default` user. A username without a
  /// password is for a user that the server asks for none (`nopass`).
  std::string username, password;

  std::optional<TlsOptions> tls;

  /// How long to try to reach a server, login included. A connection that was lost is also re-established within this
  /// time, or the operation that needs it throws ConnectionError. A caller that waits for a lock tries for as long as it may
  /// wait.
  std::chrono::milliseconds connect_timeout{2000};

  /// How long to wait for one answer before the connection counts as broken.
  std::chrono::milliseconds command_timeout{2000};

  /// What the name of a connection begins with that `CLIENT LIST` on the server shows, `redismutex` if it is empty; printable
  /// ASCII without spaces, of which 40 bytes are shown. Behind it stand the tag with which the ids of this Connection's locks
  /// begin, the host, the process and the program: `redismutex:00002a91c3:web-1:4711:import`.
  std::string client_name;

  /// Is told what a person should know: what the server does not let us do or is set up for, and what to do about it. One
  /// sentence, now and then. Called by any thread, with no lock of this library held, and for a moment also when the Connection is
  /// gone: it must own what it uses. What it throws is ignored.
  std::function<void(std::string_view message)> log;

  /// Is told what happens, for metrics.
  std::shared_ptr<Observer> observer;

  /// In place of `username` and `password`, where these change while the program runs: returns the present ones. Asked anew for
  /// each connection to the server, so that a new password is used from the next reconnection on.
  ///
  /// Is called once the server is reached, in a thread of its own, in which all signals are blocked; never twice at a time for
  /// one Connection. It has what is left of `connect_timeout`. One that takes longer is left alone: the next attempt goes on
  /// waiting for it, and uses what it returns. It may still run when the Connection is gone, so it must own what it uses; and it
  /// must not use the Connection. What it throws is the text of a LoginError. So is a refusal by the server: each operation is
  /// told at once, also one that may wait for a lock, and the next asks again.
  std::function<Credentials()> credentials;

  /// What the addresses lead to.
  enum class Kind {
    single,    ///< one server: `host` and `port`, `unix_socket` or `memory`
    sentinel,  ///< the sentinels in `nodes` know which server is the master; after a failover, which one is now
    cluster,   ///< the servers in `nodes`, some of a cluster's; they know the others
  };
  Kind kind = Kind::single;

  /// Of the kinds `sentinel` and `cluster`. One that answers is enough, and leads to the others.
  std::vector<ServerAddress> nodes;

  /// Of the kind `sentinel`: the name that the sentinels know the server by.
  std::string master;

  /// Of the kind `sentinel`: what to log in with at the sentinels, which may differ from what the servers want. Empty: they ask for
  /// nothing. TLS, if there is any, is spoken to sentinels as to servers.
  std::string sentinel_username, sentinel_password;
};

/// Reads a URL as Connection does, for programs that want to change a detail before they connect.
/// Throws std::invalid_argument for a malformed URL; the message never shows the password.
REDISMUTEX_EXPORT ConnectionOptions parse_url(std::string_view url);

/// How messages name the server, or servers: a URL without credentials and parameters.
REDISMUTEX_EXPORT std::string display_name(const ConnectionOptions& options);

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
