#pragma once

#include <string>

namespace redismutex::bench {

/// What a process has of its machine.
struct Footprint {
  double descriptors = 0;
  double threads = 0;
};

/// Makes so many Connections, each of which takes a lock and gives it back, and the first of which then holds a lock that is
/// renewed. Returns what the process has then.
Footprint use_connections(const std::string& url, int connections);

}  // namespace redismutex::bench
