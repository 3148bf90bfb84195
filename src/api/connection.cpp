#include <cstdlib>
#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <utility>

#include "api/report.hpp"
#include "api/request.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "net/url.hpp"
#include "protocol/ping.hpp"

namespace redismutex {
namespace {

ConnectionOptions options_of(std::string_view url) {
  if (!url.empty()) return parse_url(url);
  for (const char* variable : {"REDISMUTEX_URL", "REDIS_URL"}) {
    const char* const named = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): only setenv() endangers it
    if (named != nullptr && *named != '\0') return parse_url(named);
  }
  return {};
}

}  // namespace

Connection::Connection(std::string_view url) : Connection{options_of(url)} {}

Connection::Connection(ConnectionOptions options) {
  net::validate(options);
  runtimes_ = std::make_shared<api::Runtimes>(std::move(options));
  runtimes_->present();
}

void Connection::ping() const {
  const std::shared_ptr<api::Runtime> runtime = runtimes_->present();
  protocol::Ping machine;
  api::request(*runtime, machine, api::report::Action{"ping"});
}

}  // namespace redismutex
