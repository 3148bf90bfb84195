#include <cstdlib>
#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <string>
#include <utility>

#include "engine/session.hpp"
#include "engine/sessions.hpp"
#include "net/url.hpp"

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
  sessions_ = std::make_shared<engine::Sessions>(std::move(options));
  sessions_->present();
}

void Connection::ping() const { sessions_->present()->ping(); }

}  // namespace redismutex
