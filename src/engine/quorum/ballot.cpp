#include "engine/quorum/ballot.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/quorum/delegate.hpp"

namespace redismutex::engine {

using protocol::Council;
using protocol::Instant;
using Verdict = Council::Verdict;

Ballot::Ballot(const Panel& panel, Kind kind, std::shared_ptr<QuorumLease> lease, route::Waker& caller)
    : kind_{kind},
      environment_{panel.first().environment()},
      lease_{std::move(lease)},
      caller_{&caller},
      council_{panel.size(), chance()},
      seats_(panel.size()) {}

Ballot::~Ballot() = default;

/// That there is none to be had is no reason to fail: it keeps those that compete from yielding at the same time.
std::uint64_t Ballot::chance() const noexcept try { return environment_.random_bits(); } catch (const std::exception&) {
  return 0;
}

// ---- for the caller -------------------------------------------------------------------------------------------------

Ballot::State Ballot::state(Instant now) const {
  const std::lock_guard lock{mutex_};
  return {.verdict = won_ ? Verdict::won : council_.verdict(now),
          .meets_others = council_.meets_others(),
          .is_answered = council_.is_answered(),
          .is_silent = council_.is_silent(),
          .is_full = full_,
          .was_handed = handed_};
}

std::vector<Ballot::Trouble> Ballot::troubles() const {
  const std::lock_guard lock{mutex_};
  std::vector<Trouble> troubles;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const auto& trouble = seats_[i].trouble;
    if (trouble) {
      troubles.push_back(*trouble);
    } else if (!council_.has_answered(i)) {
      troubles.push_back({.server = i, .failure = {route::Failure::Kind::timed_out, "no answer so far"}, .code = {}});
    }
  }
  return troubles;
}

std::uint64_t Ballot::token() const {
  const std::lock_guard lock{mutex_};
  return council_.token();
}

void Ballot::detach() noexcept {
  const std::lock_guard lock{mutex_};
  caller_ = nullptr;
}

void Ballot::close() noexcept {
  std::shared_ptr<QuorumLease> lease;  // goes without the lock
  const std::lock_guard lock{mutex_};
  closed_ = true;
  caller_ = nullptr;
  lease.swap(lease_);
  for (const Seat& seat : seats_) {
    if (seat.delegate != nullptr) seat.delegate->wake();
  }
}

bool Ballot::is_closed() const noexcept {
  const std::lock_guard lock{mutex_};
  return closed_;
}

bool Ballot::is_waiting() const noexcept {
  const std::lock_guard lock{mutex_};
  return kind_ == Kind::waits && !closed_ && !won_;
}

bool Ballot::is_asking(std::size_t server) const noexcept {
  const std::lock_guard lock{mutex_};
  return seats_[server].delegate != nullptr;
}

// ---- for delegates --------------------------------------------------------------------------------------------------

void Ballot::enter(Delegate& delegate) {
  const std::lock_guard lock{mutex_};
  seats_[delegate.server()].delegate = &delegate;
}

void Ballot::leave(Delegate& delegate) noexcept {
  const std::lock_guard lock{mutex_};
  Seat& seat = seats_[delegate.server()];
  if (seat.delegate == &delegate) seat.delegate = nullptr;
  seat.has_vote = false;
}

bool Ballot::note_held(Delegate& delegate, const protocol::Acquire::Held& held, Instant now) {
  const std::lock_guard lock{mutex_};
  if (closed_) return false;
  Seat& seat = seats_[delegate.server()];
  seat.trouble.reset();
  seat.is_claim = held.claimed;
  seat.yields = false;
  if (won_) {
    const QuorumLease::Part part = delegate.begin_lease(now);
    if (!lease_->add(part)) delegate.give_back(part);
    council_.held(delegate.server(), {.valid_until = held.valid_until, .token = held.token}, now);
    conclude(now);
    return false;
  }
  seat.has_vote = true;
  council_.held(delegate.server(), {.valid_until = held.valid_until, .token = held.token}, now);
  conclude(now);
  return true;
}

void Ballot::note_waits(const Delegate& delegate, Instant now) {
  const std::lock_guard lock{mutex_};
  seats_[delegate.server()].trouble.reset();
  council_.waits(delegate.server());
  conclude(now);
}

void Ballot::note_taken(const Delegate& delegate, bool full, Instant now) {
  const std::lock_guard lock{mutex_};
  seats_[delegate.server()].trouble.reset();
  full_ = full_ || full;
  council_.taken(delegate.server());
  conclude(now);
}

void Ballot::note_trouble(const Delegate& delegate, Trouble trouble, Instant now) {
  const std::lock_guard lock{mutex_};
  Seat& seat = seats_[delegate.server()];
  seat.trouble = std::move(trouble);
  council_.away(delegate.server());
  conclude(now);
}

void Ballot::note_round_trip(const Delegate& delegate, Instant::duration round_trip) {
  const std::lock_guard lock{mutex_};
  council_.measured(delegate.server(), round_trip);
}

Ballot::Order Ballot::order(Delegate& delegate, bool link_broke, Instant now) {
  using What = Order::What;
  const std::lock_guard lock{mutex_};
  Seat& seat = seats_[delegate.server()];
  if (!seat.has_vote || closed_) return {What::end};
  if (link_broke) council_.asked(delegate.server());
  if (kind_ == Kind::one_try) {
    if (!link_broke) return {What::keep, protocol::never};
    seat.trouble = {.server = delegate.server(),
                    .failure = {route::Failure::Kind::unreachable, "the connection broke when it had given its vote"},
                    .code = {}};
    seat.has_vote = false;
    council_.away(delegate.server());
    conclude(now);
    return {What::end};
  }
  if (now >= council_.yields_at()) have_yielded();
  if (!seat.yields && !link_broke) return {What::keep, council_.yields_at()};
  seat.yields = false;
  seat.has_vote = false;
  return {What::ask_again};
}

/// With the lock held. All at once: none of the votes counts any more.
void Ballot::have_yielded() noexcept {
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (!council_.is_held(i)) continue;
    seats_[i].yields = true;
    if (seats_[i].delegate != nullptr) seats_[i].delegate->wake();
  }
  council_.yield(chance());
}

/// With the lock held, after each change.
void Ballot::conclude(Instant now) noexcept {
  if (closed_) return;
  if (won_) {
    if (caller_ != nullptr) caller_->wake();
    return;
  }
  const Verdict verdict = council_.verdict(now);
  if (verdict == Verdict::won) win(now);
  const bool meets_others = !met_told_ && council_.meets_others();
  met_told_ = met_told_ || meets_others;
  if (caller_ != nullptr && (verdict != Verdict::open || meets_others)) caller_->wake();
}

/// With the lock held.
void Ballot::win(Instant now) noexcept {
  won_ = true;
  for (Seat& seat : seats_) {
    if (!seat.has_vote) continue;
    seat.has_vote = false;
    handed_ = handed_ || seat.is_claim;
    lease_->add(seat.delegate->begin_lease(now));
    seat.delegate->wake();
  }
}

}  // namespace redismutex::engine
