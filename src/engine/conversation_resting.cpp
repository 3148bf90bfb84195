// A conversation between requests: what its machine waits for, and its turn to ask.

#include <algorithm>
#include <optional>

#include "engine/conversation.hpp"

namespace redismutex::engine {

using protocol::Instant;
using route::Failure;

route::Procedure::Step Conversation::on(Woken& woken, Instant now) {
  if (state_ == State::resting) return take_mail(woken.link_broke, now);
  if (state_ == State::queueing) return look_at_queue(woken.link_broke, now);
  return last_pause_ ? give_up_waiting() : reach();
}

route::Procedure::Step Conversation::rest(const protocol::Pause& pause) {
  state_ = State::resting;
  Instant until = pause.until;
  if (terms_.keeper != nullptr && pause.at_latest > pause.until) {
    // News of the place comes there also where the server may send us no messages.
    if (terms_.inbox != nullptr) terms_.inbox->open();
    const Instant kept_until = terms_.keeper->rest(environment_.now(), pause.until);
    until = std::max(until, std::min(kept_until, pause.at_latest));
  }
  return Sleep{.until = std::min(until, terms_.deadline), .listens = true};
}

/// What the machine says to the renewals of its place meanwhile: normally, to rest on. None: there were none.
std::optional<protocol::Step> Conversation::wake_up(Instant now) {
  const auto renewed_at = terms_.keeper != nullptr ? terms_.keeper->wake(now) : std::nullopt;
  if (!renewed_at) return std::nullopt;
  return machine_.refreshed(protocol::Refreshed::renewed, *renewed_at);
}

/// What woke the waiter: the more it says, the earlier it is looked at.
route::Procedure::Step Conversation::take_mail(bool link_broke, Instant now) {
  const std::optional<protocol::Step> renewed = wake_up(now);
  const Mail mail = terms_.inbox != nullptr ? terms_.inbox->take() : Mail{};
  if (mail.grant) return go_on(machine_.granted(*mail.grant, now));
  if (mail.changed || link_broke) return go_on(machine_.woken(now));
  if (mail.first) return go_on(machine_.told_first(*mail.first, now));
  if (mail.refreshed) return go_on(machine_.refreshed(*mail.refreshed, now));
  return go_on(renewed ? *renewed : machine_.woken(now));
}

route::Procedure::Step Conversation::on(Stopped& /*stopped*/, Instant now) {
  if (state_ == State::resting) wake_up(now);
  return fail({Failure::Kind::cancelled, "cancelled"});
}

// ---- the turn to ask -------------------------------------------------------------------------------------------------

bool Conversation::asks_with_others() const noexcept {
  return answered_link_ != 0 && answered_link_ != link_ && terms_.keeper != nullptr && terms_.inbox != nullptr &&
         machine_.may_wait();
}

route::Procedure::Step Conversation::queue_up(Instant now) {
  terms_.inbox->open();  // by which it is woken
  if (!turn_) turn_.emplace(server_->throttle(), *terms_.inbox);
  if (turn_->may_ask()) return prepare(now);
  state_ = State::queueing;
  return Sleep{.until = terms_.deadline, .listens = true};
}

/// A lock that it was handed needs no question, and all other news is in the answer.
route::Procedure::Step Conversation::look_at_queue(bool link_broke, Instant now) {
  const Mail mail = terms_.inbox->take();
  if (mail.grant) return go_on(machine_.granted(*mail.grant, now));
  if (now >= terms_.deadline) return go_on(machine_.woken(now));
  if (link_broke || turn_->may_ask()) return reach();
  return Sleep{.until = terms_.deadline, .listens = true};
}

}  // namespace redismutex::engine
