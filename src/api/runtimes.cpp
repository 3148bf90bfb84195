#include "api/runtimes.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

#include "api/quorum.hpp"
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

Runtimes::Runtimes(std::vector<std::shared_ptr<Runtimes>> members, const QuorumOptions& quorum)
    : members_{std::move(members)}, quorum_options_{quorum} {}

Runtimes::~Runtimes() {
  quorums_.clear();
  runtimes_.clear();
}

std::shared_ptr<Quorum> Runtimes::quorum() {
  if (!is_quorum()) return nullptr;
  return quorums_.get([this] {
    std::vector<std::shared_ptr<Runtime>> members;
    members.reserve(members_.size());
    for (const auto& member : members_) members.push_back(member->present());
    return std::make_shared<Quorum>(std::move(members), quorum_options_);
  });
}

std::shared_ptr<Runtime> Runtimes::present() {
  if (is_quorum()) {
    throw std::invalid_argument{"this Connection is a quorum: that is to be asked of each of its servers by itself"};
  }
  return runtimes_.get([this] { return std::shared_ptr<Runtime>{new Runtime{options_}, end}; });
}

}  // namespace redismutex::api
