#pragma once

#include <functional>
#include <vector>

namespace redismutex::cli {

/// What ends a wait for the lock early: a signal, for one. What `happened` uses must outlive it.
struct Interruption {
  std::vector<int> descriptors;    ///< one of them is readable when it may have happened
  std::function<bool()> happened;  ///< called by one thread at a time; once true, always true
};

}  // namespace redismutex::cli
