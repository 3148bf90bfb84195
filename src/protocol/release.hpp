#pragma once

#include <array>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::protocol {

/// Gives a lock back, in one atomic step on the server, if it is still the owner's; else gives up its place in the queue.
class Release {
 public:
  /// Whether somebody is likely to be waiting.
  enum class Waiters { none_known, likely };

  /// `key` and `id` must outlive the machine. `valid_until`: of the lease that is given back.
  Release(const Key& key, const OwnerId& id, Instant valid_until, Waiters waiters = Waiters::none_known);
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;

  Step start(Instant now);
  Step answered(const Answer& answer);
  Step unanswered();
  Step woken(Instant now);

  struct Released {};
  struct Gone {};  ///< it was not ours any more
  using Outcome = std::variant<Gone, Released, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// Whether an attempt was never answered.
  bool in_doubt() const noexcept { return in_doubt_; }

 private:
  Request request() const;

  const Instant valid_until_;
  const Waiters waiters_;
  const std::array<std::string_view, 6> arguments_;
  bool started_in_lease_ = false;
  bool in_doubt_ = false;  // an earlier attempt was never answered
  Outcome outcome_{Gone{}};
};

}  // namespace redismutex::protocol
