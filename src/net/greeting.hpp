#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/reply.hpp"

namespace redismutex::net {

/// What a server says of itself when it is greeted with HELLO. What it does not say is empty, or 0.
struct Greeting {
  /// Major, minor and patch level: `greeting.version >= Greeting::Version{7, 0, 0}`.
  using Version = std::array<int, 3>;

  std::int64_t client_id = 0;  ///< the server's own number of this connection
  std::string server;          ///< "redis", "valkey", or another name
  Version version{};
  std::string role;  ///< "master" or "replica"; a sentinel has none
  std::string mode;  ///< "standalone", "cluster" or "sentinel"
};

/// Of "7.0.15", "8.1.0-rc1" or "255.255.255", as far as there are numbers.
Greeting::Version read_version(std::string_view text);

/// `map` is the reply to HELLO, in whatever order and with whatever else a server puts in.
Greeting read_greeting(ReplyView map);

}  // namespace redismutex::net
