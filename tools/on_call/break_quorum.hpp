#pragma once

#include <redismutex/connection_options.hpp>
#include <string>
#include <vector>

namespace redismutex::cli {

/// What is to be broken, as of `redismutex break`.
struct ToBreak {
  std::string key;
  std::string owner;   ///< empty: whoever holds it
  std::string waiter;  ///< empty: it is about the holder
  bool yes = false;
};

/// `redismutex break` at a quorum. Returns the exit status.
int break_at_quorum(const ToBreak& what, const std::vector<ConnectionOptions>& servers);

}  // namespace redismutex::cli
