#include <cstdlib>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <string>
#include <utility>

#include "engine/session.hpp"
#include "net/url.hpp"

namespace redismutex {
namespace {

ConnectionOptions options_of(std::string_view url) {
  if (!url.empty()) return parse_url(url);
  const char* from_environment = std::getenv("REDIS_URL");  // NOLINT(concurrency-mt-unsafe): only setenv() endangers it
  if (from_environment != nullptr && *from_environment != '\0') return parse_url(from_environment);
  return {};
}

}  // namespace

Connection::Connection(std::string_view url) : Connection{options_of(url)} {}

Connection::Connection(ConnectionOptions options) {
  net::validate(options);
  session_ = std::make_shared<engine::Session>(std::move(options));
}

void Connection::ping() const { session_->ping(); }

}  // namespace redismutex
