#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <redismutex/redismutex.hpp>
#include <string>
#include <utility>
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

  /// To the first so many.
  Connection connection(std::size_t servers = count, const ConnectionOptions& options = {}) const {
    std::vector<Connection> connections;
    for (std::size_t i = 0; i < servers; ++i) {
      ConnectionOptions one = options;
      one.unix_socket = servers_.at(i).socket_path();
      connections.emplace_back(one);
    }
    return Connection::quorum(std::move(connections));
  }

  // ---- of those that are there

  /// At how many the key has this value.
  std::size_t holding(const std::string& key, const std::string& value) {
    std::size_t holding = 0;
    for (Server* server : present()) holding += server->get(key) == value ? 1U : 0U;
    return holding;
  }

  /// How many stand in line for the key, at all together.
  std::size_t waiting(const std::string& key) {
    std::size_t waiting = 0;
    for (Server* server : present()) {
      waiting += static_cast<std::size_t>(server->command({"ZCARD", "redismutex:{" + key + "}"}).integer) / 2;
    }
    return waiting;
  }

  /// What stands there, but for the floors of fencing tokens, which stay for a while.
  std::vector<std::string> keys() {
    std::vector<std::string> all;
    for (Server* server : present()) {
      for (std::string& key : server->keys()) {
        if (!key.starts_with("redismutex:floor:")) all.push_back(std::move(key));
      }
    }
    return all;
  }

  /// All run again, and are empty.
  void mend() {
    for (Server& server : servers_) {
      if (!is_there(server)) server.start();
      server.command({"FLUSHALL"});
    }
  }

 private:
  static bool is_there(const Server& server) {
    try {
      return server.pid() > 0;
    } catch (const std::exception&) {
      return false;
    }
  }
  std::vector<Server*> present() {
    std::vector<Server*> present;
    for (Server& server : servers_) {
      if (is_there(server)) present.push_back(&server);
    }
    return present;
  }

  std::array<Server, count> servers_;
};

}  // namespace redismutex::testing
