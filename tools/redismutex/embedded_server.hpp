#pragma once

#include <redismutex/connection_options.hpp>

#include "descriptor.hpp"
#include "embedded_directory.hpp"
#include "process_name.hpp"
#include "signals.hpp"

namespace redismutex::cli {

/// The use of this user's own private redis-server, for one machine without a server. The first who needs it starts it;
/// its minder ends it when nobody uses it any more. It listens only on a unix socket, in the EmbeddedDirectory, and keeps
/// nothing on disk while it runs.
class EmbeddedServer {
 public:
  /// Starts or joins it; returns when it answers. Throws NoEmbeddedServer. Call it before there are threads, and before
  /// this process is a subreaper: server and minder must not become its children.
  EmbeddedServer(const Signals& signals, const ProcessName& name);
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  ConnectionOptions connection_options() const;

 private:
  bool answers() const;
  void start(const Signals& signals) const;
  bool started(const Signals& signals) const;

  EmbeddedDirectory directory_;
  Descriptor users_lock_;
};

}  // namespace redismutex::cli
