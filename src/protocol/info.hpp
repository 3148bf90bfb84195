#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// The value of `field` in a reply to INFO, which is lines of "field:value"; empty if it is not there.
std::string_view info_value(std::string_view info, std::string_view field);

/// Asks for a section of INFO.
class AskInfo final : public Machine {
 public:
  /// `section`: empty for those that the server tells of unasked; must outlive the machine.
  explicit AskInfo(std::string_view section);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  using Fields = std::map<std::string, std::string>;
  using Outcome = std::variant<Fields, Refusal>;
  Outcome& outcome() noexcept { return outcome_; }

 private:
  std::vector<std::string_view> arguments_{"INFO"};
  Outcome outcome_;
};

}  // namespace redismutex::protocol
