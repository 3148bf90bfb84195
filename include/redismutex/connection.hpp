#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <memory>
#include <redismutex/connection_options.hpp>
#include <string_view>
#include <vector>

namespace redismutex::api {
class Runtimes;
struct ConnectionAccess;
}  // namespace redismutex::api

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// How Connection::quorum() counts.
struct QuorumOptions {
  /// A server that was started less than so long ago has no vote yet, because it may have come back without the locks that it had granted.
  /// As long as the longest `expiry` that anybody uses at these servers, and the same for all; to whole seconds, rounded up; at most a day. The
  /// price: after a majority of them was started there are no locks for so long. It takes the right to INFO.
  ///
  /// 0: a server votes at once. Then each restart that loses data costs one vote, see docs/safety.md.
  std::chrono::milliseconds grace{0};
};

/// How to reach one Redis or Valkey server. Copies share one socket, whatever the number of threads.
///
/// Connects on first use and reconnects by itself; the constructors do no I/O. Thread-safe. After fork() the child opens
/// a socket of its own.
class REDISMUTEX_EXPORT Connection {
 public:
  /// Takes a URL; empty means $REDISMUTEX_URL, else $REDIS_URL, else redis://localhost:6379.
  ///
  ///     redis://[[user]:password@]host[:port][/db]         port 6379 and database 0 by default; also valkey://
  ///     rediss://…                                          the same over TLS; also valkeys://
  ///     unix://[[user]:password@]/path/to/socket[?db=N]
  ///     memory:NAME                                         inside this process, for tests: redismutex/testing.hpp
  ///
  /// A user may stand without a password, `user@`, for servers that ask that user for none. User, password, path and host
  /// may be percent-encoded; IPv6 addresses stand in brackets. Without a host it is localhost; only a login must have one.
  /// `rediss` and `valkeys` take `ca_file`, `certificate_file`, `key_file`, `server_name` and `verify=no` as query parameters, see
  /// TlsOptions.
  ///
  /// Throws std::invalid_argument for a malformed URL; the message never shows the password.
  explicit Connection(std::string_view url = {});

  /// Throws std::invalid_argument for options that can not work, naming field, value and bound.
  explicit Connection(ConnectionOptions options);

  /// Several servers that know nothing of each other, and have no replicas: a lock is held by whoever has it at a majority of them, so it
  /// outlives the loss of a minority. docs/deployment.md, "Several servers", says when that is worth its price. What is no lock (ping(),
  /// and the functions of redismutex/operate.hpp) is to be asked of each server by itself, and throws std::invalid_argument here.
  ///
  /// Throws std::invalid_argument for fewer than three, an even number, an address that is there twice, what is no single server (a
  /// cluster, a server that sentinels watch, another quorum), and options that can not work. No I/O. Two addresses of one server are found
  /// when they are used, by what the server says of itself (INFO): then a lock is refused with a ConnectionError that names both.
  static Connection quorum(std::vector<Connection> servers, const QuorumOptions& options = {});

  /// Asks the server for a sign of life.
  ///
  /// Throws ConnectionError (LoginError for refused credentials) when there is none within connect_timeout +
  /// command_timeout, ServerError if the server refuses.
  void ping() const;

 private:
  REDISMUTEX_LOCAL explicit Connection(std::shared_ptr<api::Runtimes> runtimes) noexcept;

  friend class AsyncMutex;
  friend class RedisMutex;
  friend struct api::ConnectionAccess;

  std::shared_ptr<api::Runtimes> runtimes_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
