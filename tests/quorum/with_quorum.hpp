#pragma once

#include <array>
#include <cstddef>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "support/server.hpp"

namespace redismutex::testing {

/// Servers that know nothing of each other.
class QuorumServers {
 public:
  static constexpr std::size_t count = 5;

  Server& operator[](std::size_t server) { return servers_.at(server); }
  auto begin() { return servers_.begin(); }
  auto end() { return servers_.end(); }

  /// Of the first so many.
  Connection connection(std::size_t servers = count, const ConnectionOptions& options = {}) const {
    std::vector<Connection> connections;
    for (std::size_t i = 0; i < servers; ++i) {
      ConnectionOptions one = options;
      one.unix_socket = servers_.at(i).socket_path();
      connections.emplace_back(one);
    }
    return Connection::quorum(std::move(connections));
  }

  /// At how many the key has this value.
  std::size_t holding(const std::string& key, const std::string& value) {
    std::size_t holding = 0;
    for (Server& server : servers_) holding += server.get(key) == value ? 1U : 0U;
    return holding;
  }

  /// All keys of all servers.
  std::vector<std::string> keys() {
    std::vector<std::string> all;
    for (Server& server : servers_) {
      for (std::string& key : server.keys()) all.push_back(std::move(key));
    }
    return all;
  }

 private:
  std::array<Server, count> servers_;
};

}  // namespace redismutex::testing
