#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/app.hpp"

namespace redismutex::cli {

/// --watch[=TIME].
class RepeatOption {
 public:
  explicit RepeatOption(CLI::App& app);

  /// Until the next look; none: there is one look only. Throws CLI::ValidationError.
  std::optional<std::chrono::milliseconds> pause() const;

 private:
  std::shared_ptr<std::string> text_ = std::make_shared<std::string>();
};

/// One look, as it is shown.
struct Shown {
  std::string screen;   ///< all of it, for a terminal
  std::string changes;  ///< what is not as it was the last time, for other files
};

/// Prints what `look` returns, again and again, until a signal ends this process, or its reader ends. A server that is away is said once, and
/// waited for.
[[noreturn]] void print_again(std::chrono::milliseconds pause, const std::function<std::string()>& look);

/// The same: draws the screen anew on a terminal, else prints the changes.
[[noreturn]] void repeat(std::chrono::milliseconds pause, const std::function<Shown()>& look);

}  // namespace redismutex::cli
