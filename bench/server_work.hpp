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

}  // namespace redismutex::bench
