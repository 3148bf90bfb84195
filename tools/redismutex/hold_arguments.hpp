#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lock_arguments.hpp"
#include "lock_options.hpp"

namespace redismutex::cli {

inline constexpr auto about_hold = "Takes the mutex KEY and keeps it: while a script runs, or for a time.";

/// What the user asked `redismutex hold` to do.
struct HoldArguments : LockArguments {
  std::optional<std::chrono::milliseconds> lease;  // the lock stands so long, and no process stays
  std::optional<pid_t> with;                       // the lock is kept until this process ends
  bool json = false;
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
  HoldArguments arguments_;
  LockOptions lock_;
};

/// Reads the words after `redismutex hold`.
std::variant<HoldArguments, Finished> parse_hold_arguments(std::vector<std::string> words);

}  // namespace redismutex::cli
