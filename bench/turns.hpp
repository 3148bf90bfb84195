#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "locker.hpp"

namespace redismutex::bench {

/// Times are nanoseconds of the monotonic clock, which all processes of a machine share.
using Nanoseconds = long long;

Nanoseconds monotonic_now();

/// One thread's turn inside.
struct Turn {
  Nanoseconds asked;
  Nanoseconds entered;
  Nanoseconds leaving;  ///< when it began to release
  bool first;           ///< of its thread, which has memory to touch for the first time
};

/// What a process of the contention benchmark does: takes a lock of its own once, prints "ready", waits until it may
/// lock (flock) the file `go`, reads from it when to start and when to end, and takes turns. At the end it prints them, a line each. A wait that has
/// begun in time is waited out. Several threads do so together, one for each locker.
///
/// redis_py_lock.py does the same.
struct TurnTaking {
  std::string key;
  std::chrono::microseconds hold;
  std::chrono::microseconds pause;
  std::string go;
  std::vector<int> taking_part{};  ///< so many of all these threads at a time, see Rota; empty: all of them
};
void take_turns(const Lockers& lockers, const TurnTaking& how);

/// From what such a process printed.
std::vector<Turn> parse_turns(const std::string& printed);

}  // namespace redismutex::bench
