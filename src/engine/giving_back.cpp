#include "engine/giving_back.hpp"

#include <algorithm>
#include <new>
#include <redismutex/observer.hpp>
#include <string>
#include <utility>

#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using protocol::Release;

void clean_up(Session& session, const Lease& lease, const Lease::Ending& ending) noexcept {
  const Release::Terms& terms = ending.terms;
  try {
    session.clean_ups().add({.key = lease.key(),
                             .id = lease.id(),
                             .until = std::max(ending.stands_until, session.now() + protocol::drift(lease.expiry())),
                             .token = terms.token,
                             .details = std::string{terms.details},
                             .former_details = std::string{terms.former_details},
                             .label = terms.label});
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it expires by itself
  }
}

/// With all that the server has told taken in.
Lines::Passing try_to_pass(Session& session, const std::shared_ptr<Lease>& lease, const Lines::Ticket& ticket,
                           Lines::Extended extended, Instant now) noexcept {
  for (;;) {
    const Lines::Passing passing = session.lines().pass(ticket, lease, extended, now);
    if (passing.what != Lines::Pass::read_first) return passing;
    // Else the server is asked.
    route::Server& server = session.router().server_of(lease->key());
    if (!session.background().take_in_pushes(server)) return {Lines::Pass::extend_first, passing.expiry};
    server.note_read(now);
  }
}

}  // namespace

bool pass_on(Session& session, const std::shared_ptr<Lease>& lease, const Lines::Ticket& ticket) noexcept {
  return ticket &&
         try_to_pass(session, lease, ticket, Lines::Extended::not_yet, session.now()).what == Lines::Pass::passed;
}

void give_back(Session& session, const std::shared_ptr<Lease>& lease, Lease::Turn turn,
               const Lines::Ticket& ticket) noexcept {
  if (pass_on(session, lease, ticket)) return;
  if (const auto ending = lease->end(turn, session.now())) clean_up(session, *lease, *ending);
  if (ticket) session.lines().leave(lease->key(), ticket);
}

GivingBack::~GivingBack() {
  if (loss_) session_.callbacks().run(std::move(loss_));
  if (is_over_) return;
  extending_.reset();
  if (!ending_) {
    give_back(session_, lease_, turn_, ticket_);
  } else {
    leave_to_clean_ups();
    if (ticket_) session_.lines().leave(lease_->key(), ticket_);
  }
}

void GivingBack::leave_to_clean_ups() noexcept { clean_up(session_, *lease_, *ending_); }

route::Procedure::Step GivingBack::start(Instant now) {
  return ticket_ ? hand_on(Lines::Extended::not_yet, now) : release(now);
}

route::Procedure::Step GivingBack::resume(Event&& event, Instant now) {
  if (extending_) return ask(extending_->resume(std::move(event), now), now);
  return go_on(conversation_->resume(std::move(event), now));
}

route::Procedure::Step GivingBack::over(Outcome outcome) {
  is_over_ = true;
  outcome_ = std::move(outcome);
  if (ticket_) session_.lines().leave(lease_->key(), ticket_);
  return Done{};
}

// ---- to the next of the process -------------------------------------------------------------------------------------

route::Procedure::Step GivingBack::hand_on(Lines::Extended extended, Instant now) {
  const Lines::Passing passing = try_to_pass(session_, lease_, ticket_, extended, now);
  if (passing.what == Lines::Pass::passed) {
    is_over_ = true;
    outcome_ = Passed{};
    return Done{};
  }
  if (passing.what != Lines::Pass::extend_first) return release(now);
  extending_.emplace(session_, lease_, turn_,
                     Extending::Terms{.expiry = passing.expiry, .longer = protocol::Longer::stays, .waker = waker_});
  return ask(extending_->start(now), now);
}

route::Procedure::Step GivingBack::ask(Step step, Instant now) {
  return std::holds_alternative<Done>(step) ? asked(now) : step;
}

route::Procedure::Step GivingBack::asked(Instant now) {
  const Extending::Outcome said = extending_->outcome();
  const bool is_unconfirmed = extending_->is_unconfirmed();
  loss_ = extending_->take_loss();
  extending_.reset();
  if (std::holds_alternative<Extending::Extended>(said)) return hand_on(Lines::Extended::just_now, now);
  if (std::holds_alternative<Extending::Gone>(said)) {
    ending_ = lease_->end(turn_, now);
    return over(found_gone());
  }
  const auto* unanswered = std::get_if<NoAnswer>(&said);
  if (unanswered == nullptr || is_unconfirmed) return release(now);
  // A server that did not answer is not waited for a second time.
  ending_ = lease_->end(turn_, now);
  if (!ending_) return over(Gone{});
  leave_to_clean_ups();
  return over(NoAnswer{.failure = unanswered->failure, .unknown = false});
}

// ---- to the server --------------------------------------------------------------------------------------------------

route::Procedure::Step GivingBack::release(Instant now) {
  ending_ = lease_->end(turn_, now);
  if (!ending_) return over(Gone{});
  machine_.emplace(lease_->key(), lease_->id(), ending_->terms);
  // Somebody may end many locks, one after the other: an absent server is not waited for each time.
  conversation_.emplace(session_.environment(), session_.router(), *machine_,
                        session_.terms_sparing_absent(session_.patience(now)));
  return go_on(conversation_->start(now));
}

route::Procedure::Step GivingBack::go_on(const Step& step) {
  if (!std::holds_alternative<Done>(step)) return step;
  conclude();
  return Done{};
}

void GivingBack::conclude() {
  if (machine_->deletion_refused()) conversation_->server().note_deletion_refused();
  const auto& failure = conversation_->failure();
  const Release::Outcome& said = machine_->outcome();
  // What fails after the release is done concerns only those who wait.
  if (std::holds_alternative<Release::Released>(said)) {
    if (failure || machine_->more()) leave_to_clean_ups();
    over(lease_->lost() ? found_gone() : Outcome{Released{}});  // what is lost stays so
  } else if (failure) {
    leave_to_clean_ups();
    over(NoAnswer{.failure = *failure, .unknown = machine_->in_doubt()});
  } else if (const auto* refused = std::get_if<protocol::Refusal>(&said)) {
    leave_to_clean_ups();
    over(*refused);
  } else {
    over(found_gone());
  }
}

/// After the end of its turn, so that it is told of as a loss once.
GivingBack::Outcome GivingBack::found_gone() {
  Lease::Found found = lease_->found_gone();
  if (found.loss) loss_ = std::move(found.loss);
  return found.why == Loss::expired ? Outcome{Expired{}} : Outcome{Gone{}};
}

}  // namespace redismutex::engine
