#include "protocol/validity.hpp"

#include <algorithm>
#include <variant>

#include "protocol/lease.hpp"

namespace redismutex::protocol {

void Validity::begin(const Extend::Terms& terms, Instant now) {
  if (terms.longer == Longer::stays) return;
  if (under_way_++ == 0) {
    together_ = 0;
    is_out_of_sight_ = false;
    shortest_ = unlimited;
    settled_until_ = until_;
  }
  ++together_;
  shortest_ = std::min(shortest_, terms.expiry);
  until_ = std::min(until_, valid_until(now, terms.expiry));
}

/// Nobody knows any more what it would be without one of several: then it stays as short.
void Validity::take_back(const Extend::Terms& terms) noexcept {
  if (terms.longer == Longer::stays) return;
  --under_way_;
  if (together_ == 1) until_ = settled_until_;
}

void Validity::lose_sight(const Extend::Terms& terms) noexcept {
  if (terms.longer == Longer::stays) return;
  doubtful_ = std::min(doubtful_, terms.expiry);
  is_out_of_sight_ = true;
  --under_way_;
}

void Validity::settle(const Extend& machine, Instant now) {
  const Extend::Terms& terms = machine.terms();
  if (terms.longer == Longer::stays) return;
  if (machine.in_doubt()) doubtful_ = std::min(doubtful_, terms.expiry);
  settled_ = shortest_;
  settled_at_ = now;
  --under_way_;
}

void Validity::conclude(const Extend& machine, Instant now, Instant confirmed_until) {
  const Extend::Terms& terms = machine.terms();
  const bool is_alone = terms.longer == Longer::goes && together_ == 1;
  settle(machine, now);
  if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
    if (is_alone) {
      const Instant until = valid_until(extended->sent_at, std::min(terms.expiry, doubtful_));
      until_ = settled_until_ = std::min(until, confirmed_until);
    }
    renewed(terms.expiry, extended->sent_at, confirmed_until);
  } else if (std::holds_alternative<Extend::Gone>(machine.outcome())) {
    gone();
  }
}

void Validity::renewed(std::chrono::milliseconds expiry, Instant sent_at, Instant confirmed_until) {
  std::chrono::milliseconds lease = std::min(expiry, doubtful_);
  if (sent_at < settled_at_) lease = std::min(lease, settled_);  // it may have come before that one
  settled_until_ = std::max(settled_until_, std::min(valid_until(sent_at, lease), confirmed_until));
  until_ = std::max(until_, std::min(valid_until(sent_at, std::min(lease, under_way())), confirmed_until));
  claim_ = false;
}

void Validity::gone() noexcept { until_ = settled_until_ = {}; }

}  // namespace redismutex::protocol
