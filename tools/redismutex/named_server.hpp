#pragma once

#include <optional>
#include <redismutex/connection_options.hpp>
#include <vector>

#include "embedded_server.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

/// The server that a URL names, or those of a quorum. An embedded one is in use as long as this lives.
class NamedServer {
 public:
  /// Throws std::invalid_argument, which names the place that a URL is from, and what EmbeddedServer throws.
  NamedServer(const NamedUrls& urls, const Signals& signals, const ProcessName& name);

  const std::vector<ConnectionOptions>& options() const noexcept { return options_; }

 private:
  std::optional<EmbeddedServer> embedded_;
  std::vector<ConnectionOptions> options_;
};

}  // namespace redismutex::cli
