#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace redismutex::cli {

/// The URL that stands for an EmbeddedServer.
inline constexpr std::string_view embedded_url = "embedded:";

/// Where the URL comes from; the last one is nobody's choice.
enum class UrlSource { option, environment, fallback };

/// What the user asked `redismutex run` to do.
struct RunArguments {
  std::string url;  // as for Connection, or embedded_url
  UrlSource url_source;
  std::optional<std::chrono::milliseconds> wait;  // nothing: for ever; 0: one attempt
  std::chrono::milliseconds expiry;
  bool fencing = false;
  std::string key;
  std::vector<std::string> command;  // the program and its arguments; never empty
};

/// The exit status of an invocation that needs nothing done: help was printed, or what is wrong with the arguments.
using Finished = int;

/// Reads the words after the program's name, and $REDIS_URL where they have no --url.
std::variant<RunArguments, Finished> parse_arguments(std::vector<std::string> words);

/// Overwrites the passwords of URLs in argv, which `ps` shows to everyone. Copy the words first.
void hide_passwords(char** argv);

}  // namespace redismutex::cli
