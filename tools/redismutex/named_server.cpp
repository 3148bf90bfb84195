#include "named_server.hpp"

#include <stdexcept>

#include "arguments.hpp"

namespace redismutex::cli {

NamedServer::NamedServer(const NamedUrl& url, const Signals& signals, const ProcessName& name) {
  if (url.url == embedded_url) {
    options_ = embedded_.emplace(signals, name).connection_options();
    return;
  }
  try {
    options_ = parse_url(url.url);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument{url.source + ": " + error.what()};
  }
}

}  // namespace redismutex::cli
