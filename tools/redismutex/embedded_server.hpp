#pragma once

#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>

#include "descriptor.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// There is no embedded server: it can not be started, or not safely. Says why, and what helps.
struct NoEmbeddedServer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// This user's own private redis-server, for one machine without a server. The first who needs it starts it, the last to
/// leave stops it. It keeps nothing on disk and listens only on a unix socket, in a directory that nobody else can enter:
/// $XDG_RUNTIME_DIR/redismutex or, without that variable, /tmp/redismutex-UID.
///
/// In the directory, `users.lock` is locked (flock, shared) by everyone who uses the server, and `start.lock`
/// (exclusively) by who starts or stops it. Both locks end with their owner, however it dies.
class EmbeddedServer {
 public:
  /// Starts or joins it; returns when it answers. Throws NoEmbeddedServer. Call it before there are threads.
  explicit EmbeddedServer(const Signals& signals);
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  /// Stops the server if nobody else uses it and it keeps no lock of someone who died.
  ~EmbeddedServer();

  ConnectionOptions connection_options() const;

 private:
  std::string file(const std::string& name) const { return directory_ + "/" + name; }
  std::string socket_path() const { return file("redis.sock"); }
  Descriptor take_start_lock() const;
  bool answers() const;
  void start(const Signals& signals) const;
  void stop_if_unused();

  std::string directory_;
  Descriptor users_lock_;
};

}  // namespace redismutex::cli
