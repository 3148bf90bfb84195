#include "protocol/validity.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/lease.hpp"

namespace redismutex::protocol {

void Validity::begin(const Extend::Terms& terms, Instant now) {
  if (terms.longer == Longer::stays) return;
  // Nobody has said how the one before went.
  doubtful_ = std::min(doubtful_, pending_);
  settled_until_ = until_;
  pending_ = terms.expiry;
  until_ = std::min(until_, valid_until(now, terms.expiry));
}

void Validity::take_back(const Extend::Terms& terms) noexcept {
  if (terms.longer == Longer::stays) return;
  pending_ = unlimited;
  until_ = settled_until_;
}

void Validity::settle(const Extend& machine, Instant now) {
  const Extend::Terms& terms = machine.terms();
  if (terms.longer == Longer::stays) return;
  settled_ = std::exchange(pending_, unlimited);
  settled_at_ = now;
  settled_until_ = until_;
  if (machine.in_doubt()) doubtful_ = std::min(doubtful_, terms.expiry);
}

void Validity::conclude(const Extend& machine, Instant now) {
  const Extend::Terms& terms = machine.terms();
  const bool exact = terms.longer == Longer::goes;
  settle(machine, now);
  if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
    if (exact) until_ = settled_until_ = valid_until(extended->sent_at, std::min(terms.expiry, doubtful_));
    renewed(terms.expiry, extended->sent_at);
  } else if (std::holds_alternative<Extend::Gone>(machine.outcome())) {
    gone();
  }
}

void Validity::renewed(std::chrono::milliseconds expiry, Instant sent_at) {
  std::chrono::milliseconds lease = std::min(expiry, doubtful_);
  if (sent_at < settled_at_) lease = std::min(lease, settled_);  // it may have come before that one
  settled_until_ = std::max(settled_until_, valid_until(sent_at, lease));
  until_ = std::max(until_, valid_until(sent_at, std::min(lease, pending_)));
  claim_ = false;
}

void Validity::gone() noexcept {
  until_ = settled_until_ = {};
  claim_ = false;
}

}  // namespace redismutex::protocol
