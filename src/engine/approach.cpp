#include "engine/approach.hpp"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "engine/session.hpp"
#include "protocol/fencing.hpp"
#include "protocol/lease.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;

protocol::Terms acquire_terms(const Wishes& wishes, const PlaceTerms& place) {
  return {.expiry = place.expiry,
          .wait_until = wishes.wait_until,
          .delay = place.delay,
          .max_waiters = wishes.max_waiters,
          .fencing = place.fencing ? protocol::Fencing::with_token : protocol::Fencing::without_token,
          .needs = wishes.expiry};
}

protocol::Terms first_terms(Session& session, const protocol::Key& key, const Wishes& wishes, const PlaceTerms& place,
                            route::Pushes::MailboxText& mailbox, const Candidacy* candidacy) {
  protocol::Terms terms = acquire_terms(wishes, place);
  const route::Router& router = session.router();
  terms.mailbox = router.server_of(key).pushes().mailbox(router.slot_of(key), mailbox);
  if (candidacy != nullptr) terms.ticket = candidacy->ticket;
  terms.expect_line = session.contended(key).load(std::memory_order_relaxed);
  return terms;
}

std::shared_ptr<Lease> make_lease(Session& session, const protocol::Key& key, const protocol::OwnerId& id,
                                  const Wishes& wishes, Lease::Part part = Lease::Part::whole) {
  return std::make_shared<Lease>(session, key, id,
                                 Lease::Terms{.expiry = wishes.expiry,
                                              .replicas = wishes.replicas,
                                              .renews = wishes.renews,
                                              .max_hold = wishes.max_hold,
                                              .latest_end = wishes.latest_end,
                                              .label = wishes.label,
                                              .name = wishes.name,
                                              .part = part});
}

Instant deadline_of(const Session& session, const Wishes& wishes) {
  return wishes.wait_until ? *wishes.wait_until : session.patience();
}

Conversation::Terms terms_of(const Session& session, const Wishes& wishes, Inbox& inbox, PlaceKeeper& keeper) {
  Conversation::Terms terms = session.terms(deadline_of(session, wishes));
  terms.inbox = &inbox;
  terms.keeper = &keeper;
  return terms;
}

std::chrono::milliseconds known_for(const PlaceTerms& place) {
  return std::max(place.expiry, protocol::liveness_window(place.delay));
}

}  // namespace

PlaceTerms place_terms(const Wishes& wishes) noexcept {
  const bool is_limited = wishes.max_hold.count() > 0;
  return {.expiry = wishes.expiry,
          .delay = wishes.delay,
          .fencing = wishes.fencing,
          .longest_expiry = is_limited ? wishes.max_hold : protocol::longest_duration};
}

PlaceTerms merge(const PlaceTerms& terms, const Wishes& wishes) noexcept {
  return {.expiry = std::max(terms.expiry, std::min(wishes.expiry, terms.longest_expiry)),
          .delay = std::min(terms.delay, wishes.delay),
          .fencing = terms.fencing || wishes.fencing,
          .longest_expiry = terms.longest_expiry};
}

Approach::Approach(Session& session, const protocol::Key& key, const Wishes& wishes, const PlaceTerms& place,
                   route::Waker& waker, const Candidacy* candidacy)
    : session_{session},
      key_{key},
      id_{candidacy != nullptr ? candidacy->id : route::new_owner_id(session.environment(), session.identity().tag())},
      lease_{make_lease(session, key, id_, wishes, candidacy != nullptr ? Lease::Part::vote : Lease::Part::whole)},
      longest_{known_for(place)},
      machine_{key_, id_, first_terms(session, key, wishes, place, mailbox_, candidacy)},
      inbox_{session.wake_ups(), key_, id_, waker},
      place_{session.places(), key_, id_, machine_, place.delay},
      conversation_{session.environment(), session.router(), machine_, terms_of(session, wishes, inbox_, place_)} {}

/// A request that was never answered may have taken the lock, whatever the machine knows.
bool Approach::left_traces() const noexcept {
  return lease_ != nullptr && (broken_ || machine_.left_traces() || conversation_.is_unanswered());
}

Approach::~Approach() {
  if (!left_traces()) return;
  try {
    session_.clean_ups().add({.key = key_,
                              .id = id_,
                              .until = session_.now() + longest_,
                              .details = machine_.details(),
                              .former_details = machine_.former_details()});
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it expires by itself
  }
}

void Approach::take_over(const Wishes& wishes, const PlaceTerms& place) {
  std::shared_ptr<Lease> lease = make_lease(session_, key_, id_, wishes);
  change_place(wishes, place);
  conversation_.change_deadline(deadline_of(session_, wishes));
  lease_ = std::move(lease);
}

void Approach::change_place(const Wishes& wishes, const PlaceTerms& place) {
  machine_.change(acquire_terms(wishes, place));
  place_.change_delay(place.delay);
  longest_ = std::max(longest_, known_for(place));
}

route::Procedure::Step Approach::yield() { return conversation_.go_on_with(machine_.yield()); }

Approach::Begun Approach::begin(const protocol::Acquire::Held& held, Instant now, Instant confirmed_until) noexcept {
  const Lease::Turn turn =
      lease_->begin(held, {.server = &conversation_.authority(), .link = conversation_.link()}, now, confirmed_until);
  return {.lease = std::move(lease_), .turn = turn};
}

}  // namespace redismutex::engine
