#pragma once

#include <array>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"

namespace redismutex::protocol {

/// Asks the server for a sign of life.
class Ping {
 public:
  Step start(Instant now);
  Step answered(const Answer& answer);
  Step unanswered();
  Step woken(Instant now);

  struct Alive {};
  using Outcome = std::variant<Alive, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  const std::array<std::string_view, 1> arguments_{"PING"};
  Outcome outcome_;
};

}  // namespace redismutex::protocol
