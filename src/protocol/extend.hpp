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
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// Starts a lease anew, if the lock is still the owner's. Never takes a lost lock again.
class Extend {
 public:
  /// `key` and `id` must outlive the machine.
  Extend(const Key& key, const OwnerId& id, std::chrono::milliseconds expiry);
  Extend(const Extend&) = delete;
  Extend& operator=(const Extend&) = delete;

  Step start(Instant now);
  Step answered(const Answer& answer);
  Step unanswered();
  Step woken(Instant now);

  struct Extended {
    Instant valid_until;
    std::int64_t waiting;  ///< how many are in the server's queue
  };
  struct Gone {};  ///< it was not ours any more
  using Outcome = std::variant<Gone, Extended, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  const std::chrono::milliseconds expiry_;
  const std::string expiry_ms_;
  const std::array<std::string_view, 7> arguments_;
  Outcome outcome_{Gone{}};
};

}  // namespace redismutex::protocol
