#pragma once

#include <redismutex/config.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace redismutex::memory {
class Host;
}  // namespace redismutex::memory

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// A server inside this process, for tests of programs that use the library: no Redis, no port, no other process. Connections lead to it by
/// the URL `memory:NAME`, and everything else is as with a server: the same scripts run, locks have leases, waiters are served in order,
/// tokens rise, and what is lost is told. Here a test takes the part of the outside world: it ends a lease, refuses, goes away.
///
/// Needs the CMake target redismutex::testing, or what pkg-config says of redismutex-testing; `memory:` URLs do, too. docs/testing.md.
///
/// A server is there from the first use of its name, in a URL or here, to the end of this object; without one, to that of the process. A
/// child of fork() has none of its parent's servers. Thread-safe; a function returns when what it does is done.
class MemoryServer {
 public:
  /// One that nobody else knows: url() tells its name.
  MemoryServer();

  /// The one that `memory:NAME` leads to. Throws std::invalid_argument for an empty name, or one with a zero byte.
  explicit MemoryServer(std::string_view name);

  /// The server goes, with all that it knows, and the connections to it end. The next to use its name finds an empty one.
  ~MemoryServer();
  MemoryServer(const MemoryServer&) = delete;
  MemoryServer& operator=(const MemoryServer&) = delete;

  /// The URL for a Connection: `memory:NAME`.
  std::string url() const;

  /// Ends the lease of the lock with this key, as if its time had come, or somebody had deleted it; whether it was held. The holder is told:
  /// lost_token() stops within milliseconds where one was asked for, else the holder finds out when it renews, extends or releases.
  bool end_lease(std::string_view key);

  /// From now on refuses to write, with this error: "OOM command not allowed when used memory > 'maxmemory'.", "MISCONF …", "NOPERM …". So no
  /// lock is taken or extended. Locks are lost when their leases end. What that means to callers is as with a server: with most errors they are told at once (ServerError),
  /// and with READONLY or LOADING they wait as long as they may. Throws std::invalid_argument for an empty error, or one of several lines.
  void refuse_writes(std::string_view error);
  void accept_writes();

  /// Ends the connections, as a firewall or an administrator does. New ones are taken at once.
  void cut_connections();

  /// Ends the connections and takes no new ones, until come_back(). What is stored stays; leases run on.
  void go_away();
  void come_back();

  /// Stands still until resume(), as a server that swaps, or behind a network that loses everything: connections stay open, and nothing is
  /// answered. Leases run on.
  void pause();
  void resume();

  /// Ends the connections and forgets everything, locks and those who wait for them, as a server without persistence that is restarted.
  void restart();

 private:
  const std::shared_ptr<memory::Host> host_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
