#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shared/url_source.hpp"

namespace redismutex::cli {

/// The URL that stands for an EmbeddedServer.
inline constexpr std::string_view embedded_url = "embedded:";

/// What becomes of the processes that COMMAND started, once it has ended by itself.
enum class Background {
  wait,  // the lock is kept until they have ended, too
  leave  // they go on without the lock
};

/// What the user asked `redismutex run` to do.
struct RunArguments {
  NamedUrl server;                                // or embedded_url
  std::optional<std::chrono::milliseconds> wait;  // nothing: for ever; 0: one attempt
  std::chrono::milliseconds expiry;
  std::optional<std::chrono::milliseconds>
      patience;        // how long the server may be away during the wait; nothing: all of it
  std::string label;   // what people see of the holder; empty: of the command
  std::string report;  // a file of metrics to be updated; empty: none
  bool quiet = false;
  bool verbose = false;
  int conflict_status;
  Background background = Background::wait;
  std::string key;
  std::vector<std::string> command;  // the program and its arguments; never empty
};

/// The exit status of an invocation that needs nothing done: help was printed, or what is wrong with the arguments.
using Finished = int;

/// Throws CLI::ValidationError, which names the place of the URL, for `embedded:` with something behind it.
void check_embedded(const NamedUrl& server);

/// Reads the words after the program's name, and finds the URL where they have no --url: see url_source.hpp.
std::variant<RunArguments, Finished> parse_arguments(std::vector<std::string> words);

}  // namespace redismutex::cli
