#include "named_server.hpp"

#include "lock_arguments.hpp"

namespace redismutex::cli {

NamedServer::NamedServer(const NamedUrl& url, const Signals& signals, const ProcessName& name) {
  if (url.url == embedded_url) {
    options_ = embedded_.emplace(signals, name).connection_options();
  } else {
    options_ = connection_options(url);
  }
}

}  // namespace redismutex::cli
