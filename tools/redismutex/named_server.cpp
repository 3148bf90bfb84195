#include "named_server.hpp"

#include "lock_arguments.hpp"

namespace redismutex::cli {

NamedServer::NamedServer(const NamedUrls& urls, const Signals& signals, const ProcessName& name) {
  if (urls.urls.front() == embedded_url) {
    options_.push_back(embedded_.emplace(signals, name).connection_options());
  } else {
    options_ = connection_options(urls);
  }
}

}  // namespace redismutex::cli
