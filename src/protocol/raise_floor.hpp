#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Tells a server of a fencing token that it has not minted: it will mint only higher ones, as after a release with that token.
/// Repeatable. The script is lua/raise.lua.
class RaiseFloor final : public Machine {
 public:
  struct Terms {
    std::uint64_t token;
    std::chrono::milliseconds lasts;  ///< the server has it in mind for so long
  };

  /// `key` must outlive the machine.
  RaiseFloor(const Key& key, const Terms& terms);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;
  const Key* key() const noexcept override { return &key_; }  // NOLINT: its constructor, elsewhere, sets it

  struct Raised {};
  using Outcome = std::variant<Raised, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  Request request() const { return {.arguments = arguments_, .script = &scripts::raise}; }

  const Key& key_;
  const std::string token_;
  const std::string lasts_ms_;
  const std::array<std::string_view, 6> arguments_;
  Outcome outcome_;
};

}  // namespace redismutex::protocol
