#include "engine/extending.hpp"

#include <algorithm>
#include <utility>

#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {

using protocol::Extend;
using protocol::Instant;

Extending::~Extending() {
  if (machine_) {
    const bool has_left = conversation_->is_unanswered() || machine_->in_doubt();
    const auto went = acknowledging_ ? Lease::Went::unconfirmed
                      : has_left     ? Lease::Went::unknown
                                     : Lease::Went::never_left;
    loss_ = lease_->conclude_extension(*machine_, went);
  }
  if (loss_) session_.callbacks().run(std::move(loss_));
}

route::Procedure::Step Extending::start(Instant now) {
  const std::optional<Lease::Extension> extension = lease_->begin_extension(turn_, terms_.expiry, terms_.longer);
  if (!extension) {
    loss_ = lease_->note_end(turn_);
    return Done{};
  }
  machine_.emplace(lease_->key(), lease_->id(), extension->terms);
  until_ = extension->until;
  // An answer after the lease's end is of no use.
  const Instant until = std::min(session_.patience(now), extension->until);
  const auto terms =
      terms_.longer == protocol::Longer::stays ? session_.terms_sparing_absent(until) : session_.terms(until);
  conversation_.emplace(session_.environment(), session_.router(), *machine_, terms);
  return go_on(conversation_->start(now), now);
}

route::Procedure::Step Extending::resume(Event&& event, Instant now) {
  if (acknowledging_) return confirmed(acknowledging_->resume(std::move(event), now));
  return go_on(conversation_->resume(std::move(event), now), now);
}

route::Procedure::Step Extending::go_on(const Step& step, Instant now) {
  if (!std::holds_alternative<Done>(step)) return step;
  if (!lease_->terms().replicas.is_off() && is_extended()) return confirm(now);
  conclude();
  return step;
}

bool Extending::is_extended() const noexcept {
  return !conversation_->failure() && std::holds_alternative<Extend::Extended>(machine_->outcome());
}

/// Until replicas have received it the lease is what it was.
route::Procedure::Step Extending::confirm(Instant now) {
  const Instant until = std::min(until_, session_.confirmed_until(now, terms_.expiry));
  const Instant sent_at = std::get<Extend::Extended>(machine_->outcome()).sent_at;
  const Lane::Item lock{
      .key = lease_->key(), .id = lease_->id(), .lasts_until = protocol::valid_until(sent_at, terms_.expiry)};
  acknowledging_ = std::make_unique<Acknowledging>(
      session_, lock, Acknowledging::Terms{.replicas = lease_->terms().replicas, .until = until}, terms_.waker);
  return confirmed(acknowledging_->start(now));
}

route::Procedure::Step Extending::confirmed(const Step& step) {
  if (!std::holds_alternative<Done>(step)) return step;
  if (const auto& trouble = acknowledging_->trouble()) {
    conclude_unconfirmed(*trouble);
  } else {
    conclude();
  }
  return Done{};
}

void Extending::conclude_unconfirmed(const Lane::Trouble& trouble) {
  unconfirmed_ = true;
  if (const auto* failure = std::get_if<route::Failure>(&trouble)) {
    outcome_ = NoAnswer{.failure = *failure, .unknown = true};
  } else {
    outcome_ = std::get<protocol::Refusal>(trouble);
  }
  loss_ = lease_->conclude_extension(*machine_, Lease::Went::unconfirmed);
  acknowledging_.reset();
  conversation_.reset();
  machine_.reset();
}

void Extending::conclude() {
  if (const auto& failure = conversation_->failure()) {
    const bool unknown = machine_->in_doubt();
    outcome_ = NoAnswer{.failure = *failure, .unknown = unknown};
    loss_ = lease_->conclude_extension(*machine_, unknown ? Lease::Went::unknown : Lease::Went::never_left);
  } else {
    loss_ = lease_->conclude_extension(*machine_, Lease::Went::answered,
                                       {.server = &conversation_->authority(), .link = conversation_->link()},
                                       acknowledging_ ? acknowledging_->confirmed_until() : protocol::never);
    if (const auto* refused = std::get_if<protocol::Refusal>(&machine_->outcome())) {
      outcome_ = *refused;
    } else if (std::holds_alternative<Extend::Gone>(machine_->outcome())) {
      outcome_ = Gone{};
    } else if (lease_->valid_until(turn_) > session_.now()) {
      outcome_ = Extended{};
    } else {  // the answer came too late
      outcome_ = Ended{};
      loss_ = lease_->note_end(turn_);
    }
  }
  acknowledging_.reset();
  conversation_.reset();
  machine_.reset();
}

}  // namespace redismutex::engine
