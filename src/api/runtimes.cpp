#include "api/runtimes.hpp"

#include <exception>
#include <utility>

#include "api/runtime.hpp"
#include "net/thread.hpp"

namespace redismutex::api {
namespace {

/// The last owner may be what a lost_token() calls, in a thread that the runtime waits for when it ends: then another thread
/// ends it. In a child of fork() it may be a lock of the parent's: then nobody does.
void end(Runtime* runtime) noexcept {
  if (runtime->inherited()) return;
  if (!runtime->runs_this_thread()) {
    delete runtime;
    return;
  }
  try {
    net::start_thread([runtime] { delete runtime; }).detach();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread or memory to be had; then it stays
  }
}

}  // namespace

Runtimes::Runtimes(ConnectionOptions options) : options_{std::move(options)} {}

Runtimes::~Runtimes() { runtimes_.clear(); }

std::shared_ptr<Runtime> Runtimes::present() {
  return runtimes_.get([this] { return std::shared_ptr<Runtime>{new Runtime{options_}, end}; });
}

}  // namespace redismutex::api
