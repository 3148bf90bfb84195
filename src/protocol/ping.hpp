#pragma once

#include <array>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Asks the server for a sign of life.
class Ping final : public Machine {
 public:
  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  struct Alive {};
  using Outcome = std::variant<Alive, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  const std::array<std::string_view, 1> arguments_{"PING"};
  Outcome outcome_;
};

}  // namespace redismutex::protocol
