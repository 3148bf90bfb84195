#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/server.hpp"

namespace redismutex::testing {

/// Whether the server has sharded channels, in which waiters are then woken.
inline bool has_sharded_channels(Server& server) { return server.version() >= Version{7, 0, 0}; }

/// All that a lock needs but what wakes a waiter: see docs/deployment.md, "Rights".
constexpr auto lock_rights =
    " -@all +hello +ping +set +get +exists +del +unlink +pexpire +pttl +psetex +time +multi +exec +zadd +zrem +zrange "
    "+zrangebyscore +zscore +zcount +evalsha +script|load";
constexpr auto tracking_rights = " +client|tracking +client|caching";

/// To listen to the channels that the server has, to ask who listens, and to speak in them.
inline std::string listening(Server& server) {
  return has_sharded_channels(server) ? " &redismutex:* +ssubscribe" : " &redismutex:* +subscribe";
}
inline std::string asking(Server& server) {
  return has_sharded_channels(server) ? " +pubsub|shardnumsub" : " +pubsub|numsub";
}
inline std::string speaking(Server& server) {
  return has_sharded_channels(server) ? " &redismutex:* +spublish" : " &redismutex:* +publish";
}

/// Makes a user with these rights, as far as the server knows them: Redis 6.0 has none for channels.
inline void add_user(Server& server, const std::string& name, const std::string& rights) {
  std::vector<std::string> command{"ACL", "SETUSER", name, "on", ">secret"};
  std::istringstream words{rights};
  for (std::string word; words >> word;) {
    const bool of_channels = word.front() == '&' || word == "resetchannels";
    if (!of_channels || server.version() >= Version{6, 2, 0}) command.push_back(word);
  }
  const Reply reply = server.command(command);
  if (reply.is_error()) throw std::runtime_error("ACL SETUSER " + name + ": " + reply.text);
}

}  // namespace redismutex::testing
