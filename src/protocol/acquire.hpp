#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// Takes a lock, now or by waiting for it.
///
/// One command asks and takes: `SET key id NX GET PX expiry`. GET makes it safe to repeat after a lost answer, because a
/// lock that the first attempt took is recognised by its id; and it makes a key of another type an error rather than a
/// lock that never gets free. (NX with GET needs Redis 7.0 or Valkey.)
class Acquire {
 public:
  struct Terms {
    std::chrono::milliseconds expiry;
    std::optional<Instant> wait_until;  ///< none: one attempt
    std::chrono::milliseconds delay;    ///< between two attempts
  };

  Acquire(const Key& key, const OwnerId& id, Terms terms);
  Acquire(const Acquire&) = delete;
  Acquire& operator=(const Acquire&) = delete;

  Step start(Instant now);
  Step answered(const Answer& answer);
  Step unanswered();
  Step woken(Instant now);

  struct Held {
    Instant valid_until;
  };
  struct Taken {};  ///< by somebody else, until the end
  using Outcome = std::variant<Taken, Held, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// Whether somebody else had the lock at any time.
  bool met_others() const noexcept { return met_others_; }

  /// Whether the server may hold the key for us although outcome() is not Held: then it is to be released.
  bool perhaps_held() const noexcept;

 private:
  Step attempt();
  Step take_over_own();
  Step wait_or_give_up(Instant now);
  Step held(Instant sent_at, Instant now);
  Step refused(const Answer& answer);

  const Terms terms_;
  const std::string id_;
  const std::string expiry_ms_;
  const std::array<std::string_view, 7> set_;
  const std::array<std::string_view, 6> extend_;
  bool extending_ = false;  // the id was found at the key: an earlier attempt took it
  bool in_doubt_ = false;   // some attempt was never answered
  bool met_others_ = false;
  Outcome outcome_{Taken{}};
};

}  // namespace redismutex::protocol
