#pragma once

#include <chrono>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <redismutex/operate.hpp>
#include <string>
#include <vector>

namespace redismutex::cli {

/// Where a lock is: one server, or the several of a quorum. Thread-safe.
class LockServers {
 public:
  /// `grace`: of a quorum. Throws std::invalid_argument as Connection does.
  LockServers(std::vector<ConnectionOptions> servers, std::chrono::milliseconds grace);

  /// To all of them.
  const Connection& connection() const noexcept { return connection_; }

  /// What is seen of the key; of a quorum, at the first server that has it. Throws as redismutex::inspect() does.
  Inspection inspect(const std::string& key, const InspectOptions& options) const;

 private:
  const std::vector<Connection> each_;
  const Connection connection_;
};

}  // namespace redismutex::cli
