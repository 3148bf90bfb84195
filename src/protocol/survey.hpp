#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Looks whether the server is set up so that it can lose a lock which it has granted.
class Survey final : public Machine {
 public:
  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  /// What is wrong, and what to do about it: a sentence each.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  const std::array<std::string_view, 1> arguments_{"INFO"};  // before 7.0 it takes one section at the most
  std::vector<std::string> warnings_;
};

}  // namespace redismutex::protocol
