#pragma once

#include <optional>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <string>
#include <vector>

namespace redismutex::cli {

enum class Level { good, warning, critical };

/// What a check of the server has found.
struct Finding {
  std::string check;
  Level level = Level::good;
  std::string text;
  std::string remedy{};  ///< a command to paste, or what else helps; empty if nothing has to be done
};

/// What is examined, and how.
struct Examination {
  ConnectionOptions server;
  std::string name;                      ///< the server's, for people
  std::optional<std::string> compare{};  ///< a URL that should lead to the same server
  bool writes = false;                   ///< take a lock on a key of its own, `redismutex-doctor:UUID`
};

/// All that is found; a server that can not be reached is a finding, too.
std::vector<Finding> examine(const Examination& examination);

}  // namespace redismutex::cli
