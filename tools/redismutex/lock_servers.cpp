#include "lock_servers.hpp"

#include <exception>
#include <optional>
#include <redismutex/errors.hpp>
#include <utility>

namespace redismutex::cli {
namespace {

std::vector<Connection> connections_to(std::vector<ConnectionOptions> servers) {
  std::vector<Connection> connections;
  connections.reserve(servers.size());
  for (auto& server : servers) connections.emplace_back(std::move(server));
  return connections;
}

}  // namespace

LockServers::LockServers(std::vector<ConnectionOptions> servers, std::chrono::milliseconds grace)
    : each_{connections_to(std::move(servers))},
      connection_{each_.size() == 1 ? each_.front() : Connection::quorum(each_, {.grace = grace})} {}

Inspection LockServers::inspect(const std::string& key, const InspectOptions& options) const {
  std::optional<Inspection> seen;
  std::exception_ptr failure;
  for (const Connection& server : each_) {
    try {
      seen = redismutex::inspect(server, key, options);
      if (seen->state != Inspection::State::free) break;
    } catch (const Error&) {
      failure = std::current_exception();
    }
  }
  if (!seen) std::rethrow_exception(failure);
  return *std::move(seen);
}

}  // namespace redismutex::cli
