#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Asks the server about itself: a command that may be repeated.
class Question final : public Machine {
 public:
  explicit Question(const std::vector<std::string>& words) : arguments_{words.begin(), words.end()} {}

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  /// Any answer is one.
  struct Outcome {
    std::string text;  ///< of a text, a number or a refusal
    std::vector<std::string> list;
    bool refused = false;
  };
  Outcome& outcome() noexcept { return outcome_; }

 private:
  std::vector<std::string_view> arguments_;
  Outcome outcome_;
};

}  // namespace redismutex::protocol
