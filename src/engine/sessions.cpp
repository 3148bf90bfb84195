#include "engine/sessions.hpp"

#include <exception>
#include <utility>

#include "engine/session.hpp"
#include "net/thread.hpp"

namespace redismutex::engine {
namespace {

/// The last owner may be what a lost_token() calls, in a thread that the session waits for when it ends: then another thread
/// ends it. In a child of fork() it may be a lock of the parent's: then nobody does.
void end(Session* session) noexcept {
  if (session->inherited()) return;
  if (!session->runs_this_thread()) {
    delete session;
    return;
  }
  try {
    net::start_thread([session] { delete session; }).detach();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread or memory to be had; then it stays
  }
}

}  // namespace

Sessions::Sessions(ConnectionOptions options) : options_{std::move(options)} {}

Sessions::~Sessions() { sessions_.clear(); }

std::shared_ptr<Session> Sessions::present() {
  return sessions_.get([this] { return std::shared_ptr<Session>{new Session{options_}, end}; });
}

}  // namespace redismutex::engine
