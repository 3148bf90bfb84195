#pragma once

#include <string>

#include "support/server.hpp"

namespace redismutex::bench {

/// What a server has done since it started. The difference of two hardly depends on what else the machine does.
struct ServerWork {
  double seconds = 0;  ///< of processor time
  double reads = 0;    ///< from its clients' sockets

  static ServerWork of(testing::Server& server) {
    auto stats = server.info("stats");
    auto cpu = server.info("cpu");
    return {.seconds = std::stod(cpu.at("used_cpu_user")) + std::stod(cpu.at("used_cpu_sys")),
            .reads = std::stod(stats.at("total_reads_processed"))};
  }

  ServerWork& operator+=(const ServerWork& other) {
    seconds += other.seconds;
    reads += other.reads;
    return *this;
  }

  friend ServerWork operator-(const ServerWork& later, const ServerWork& earlier) {
    return {.seconds = later.seconds - earlier.seconds, .reads = later.reads - earlier.reads};
  }
};

/// So many commands have clients sent that only wait: none of these is run by a script.
inline double commands_of_waiters(testing::Server& server) {
  auto calls = server.command_calls();
  double commands = 0;
  for (const char* name : {"evalsha", "subscribe", "ssubscribe", "client|tracking", "client|caching", "script|load",
                           "ping", "multi", "exec"}) {
    commands += static_cast<double>(calls[name]);
  }
  return commands;
}

}  // namespace redismutex::bench
