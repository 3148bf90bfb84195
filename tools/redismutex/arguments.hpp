#pragma once

#include <string>
#include <variant>
#include <vector>

#include "lock_arguments.hpp"

namespace redismutex::cli {

/// What becomes of the processes that COMMAND started, once it has ended by itself.
enum class Background {
  wait,  // the lock is kept until they have ended, too
  leave  // they go on without the lock
};

/// What the user asked `redismutex run` to do.
struct RunArguments : LockArguments {
  std::string report;  // a file of metrics to be updated; empty: none
  Background background = Background::wait;
  std::vector<std::string> command;  // the program and its arguments; never empty
};

/// Reads the words after the program's name, and finds the URL where they have no --url: see url_source.hpp.
std::variant<RunArguments, Finished> parse_arguments(std::vector<std::string> words);

}  // namespace redismutex::cli
