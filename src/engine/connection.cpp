#include <cstdlib>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/session.hpp"
#include "net/thread.hpp"
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

/// The last owner may be what a lost_token() calls, in a thread that the session waits for when it ends: then another thread
/// ends it.
void end(engine::Session* session) noexcept {
  if (!session->runs_this_thread()) {
    delete session;
    return;
  }
  try {
    net::start_thread([session] { delete session; }).detach();
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): no thread to be had; then it stays in memory
  }
}

}  // namespace

Connection::Connection(std::string_view url) : Connection{options_of(url)} {}

Connection::Connection(ConnectionOptions options) {
  net::validate(options);
  session_ = {new engine::Session{std::move(options)}, end};
}

void Connection::ping() const { session_->ping(); }

}  // namespace redismutex
