#pragma once

#include <string>

namespace redismutex::bench {

struct Grants {
  double waiting = 0;  ///< threads, as many as were wanted or as the machine bears
  double cpu_us = 0;   ///< processor time of their process for each grant
};

/// Has so many threads of another process wait over one connection, each for a lock of its own. All these locks are held here,
/// and `grants` of them are given back, one after the other: the next when the one before has arrived.
Grants measure_grants(const std::string& url, int threads, int grants);

}  // namespace redismutex::bench
