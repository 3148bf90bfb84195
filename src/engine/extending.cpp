#include "engine/extending.hpp"

#include <algorithm>
#include <utility>

#include "engine/session.hpp"

namespace redismutex::engine {

using protocol::Extend;
using protocol::Instant;

Extending::~Extending() {
  if (machine_) {
    const bool has_left = conversation_->is_unanswered() || machine_->in_doubt();
    loss_ = lease_->conclude_extension(*machine_, has_left ? Lease::Went::unknown : Lease::Went::never_left);
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
  // An answer after the lease's end is of no use.
  const Instant until = std::min(session_.patience(now), extension->until);
  const auto terms =
      terms_.longer == protocol::Longer::stays ? session_.terms_sparing_absent(until) : session_.terms(until);
  conversation_.emplace(session_.environment(), session_.router(), *machine_, terms);
  return go_on(conversation_->start(now));
}

route::Procedure::Step Extending::resume(Event&& event, Instant now) {
  return go_on(conversation_->resume(std::move(event), now));
}

route::Procedure::Step Extending::go_on(Step step) {
  if (std::holds_alternative<Done>(step)) conclude();
  return step;
}

void Extending::conclude() {
  if (const auto& failure = conversation_->failure()) {
    const bool unknown = machine_->in_doubt();
    outcome_ = NoAnswer{.failure = *failure, .unknown = unknown};
    loss_ = lease_->conclude_extension(*machine_, unknown ? Lease::Went::unknown : Lease::Went::never_left);
  } else {
    loss_ = lease_->conclude_extension(*machine_, Lease::Went::answered, conversation_->link());
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
  conversation_.reset();
  machine_.reset();
}

}  // namespace redismutex::engine
