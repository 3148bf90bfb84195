#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/server.hpp"

namespace redismutex::testing {

/// A master, two replicas, and three sentinels that watch them under the name "mymaster": on free ports of 127.0.0.1.
class SentinelSet {
 public:
  struct Settings {
    std::string sentinel_password = {};            // of the sentinels' user "default"
    std::vector<std::string> sentinel_users = {};  // see ServerOptions::users
    std::vector<std::string> directives = {};      // of the servers
    std::chrono::milliseconds down_after{500};     // a server that does not answer for so long counts as down
  };

  /// Returns when all know of each other. Throws std::runtime_error if they do not in time.
  SentinelSet() : SentinelSet(Settings{}) {}
  explicit SentinelSet(const Settings& settings);

  static constexpr std::size_t count = 3;
  std::array<Server, count>& servers() noexcept { return servers_; }
  std::array<Server, count>& sentinels() noexcept { return sentinels_; }

  /// redis+sentinel://127.0.0.1:port,127.0.0.1:port,127.0.0.1:port/mymaster
  std::string url() const;

  /// With this one of the sentinels alone.
  std::string url_of(std::size_t sentinel) const;

  /// The server that this sentinel names.
  Server& named_by(std::size_t sentinel);

  /// The one that all sentinels which answer name. Throws std::runtime_error if they do not agree in time.
  Server& master();

  /// Until the replicas have what the master has: what it has not told them is lost with it. Throws std::runtime_error if that takes too long.
  void until_replicated();

  /// Has the sentinels make another server the master, although nothing is wrong with the present one. Returns when the new one takes
  /// writes and all sentinels name it; the old one goes on taking them for some ten seconds.
  Server& fail_over();

  /// Returns the new master when all sentinels that answer name another server than this one.
  Server& master_after(const Server& former);

  /// The sentinels look at servers and talk to each other more often than they usually do, or as usual.
  void hurry(bool wanted);

 private:
  std::optional<std::uint16_t> port_named_by(Server& sentinel) const;
  Server& server_at(std::uint16_t port);
  bool know_each_other();

  std::array<Server, count> servers_;
  std::array<Server, count> sentinels_;
};

}  // namespace redismutex::testing
