#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "arguments.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {

inline constexpr auto about_hold = "Takes the mutex KEY and keeps it: while a script runs, or for a time.";

/// What the user asked `redismutex hold` to do.
struct HoldArguments {
  NamedUrl server;                                 // embedded_url, or as for Connection
  std::optional<std::chrono::milliseconds> wait;   // nothing: for ever; 0: one attempt
  std::optional<std::chrono::milliseconds> lease;  // the lock stands so long, and no process stays
  std::chrono::milliseconds expiry;                // of a lock that is renewed
  std::optional<pid_t> with;                       // the lock is kept until this process ends
  bool json = false;
  std::string label;
  std::string key;
};

/// `redismutex hold …` as CLI11 sees it.
class HoldParser {
 public:
  /// Declares the options on `app`, which is used as long as this lives.
  explicit HoldParser(CLI::App& app);
  HoldParser(const HoldParser&) = delete;
  HoldParser& operator=(const HoldParser&) = delete;

  /// Once `app` has parsed its words. Throws CLI::ParseError and NoUrl.
  HoldArguments finish();

 private:
  std::function<NamedUrl()> find_url_;
  HoldArguments arguments_;
};

/// Reads the words after `redismutex hold`.
std::variant<HoldArguments, Finished> parse_hold_arguments(std::vector<std::string> words);

}  // namespace redismutex::cli
