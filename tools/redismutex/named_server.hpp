#pragma once

#include <optional>
#include <redismutex/connection_options.hpp>

#include "embedded_server.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

/// The server that a URL names. An embedded one is in use as long as this lives.
class NamedServer {
 public:
  /// Throws std::invalid_argument, which names the place that the URL is from, and what EmbeddedServer throws.
  NamedServer(const NamedUrl& url, const Signals& signals, const ProcessName& name);

  const ConnectionOptions& options() const noexcept { return options_; }

 private:
  std::optional<EmbeddedServer> embedded_;
  ConnectionOptions options_;
};

}  // namespace redismutex::cli
