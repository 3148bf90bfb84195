#pragma once

#include <chrono>
#include <string>

#include "support/server.hpp"

namespace redismutex::bench {

/// What it costs that many threads of one process wait, each for a lock of its own, while nothing happens.
struct Vigil {
  double waiting = 0;           ///< threads, as many as were wanted or as the machine bears
  double commands_a_round = 0;  ///< a round is one `delay`
  double client_percent = 0;    ///< of a processor
  double server_percent = 0;
};

/// `program`: this one, or a worker.
Vigil keep_vigil(testing::Server& server, const std::string& program, int threads, std::chrono::milliseconds delay);

}  // namespace redismutex::bench
