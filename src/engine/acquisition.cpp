#include "engine/acquisition.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "engine/giving_back.hpp"
#include "engine/session.hpp"
#include "protocol/acquire.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {
namespace {

using Kind = route::Failure::Kind;
using InLine = Lines::Member::State;
using protocol::Acquire;
using protocol::Instant;

route::Failure cancelled() { return {Kind::cancelled, "cancelled"}; }
constexpr std::chrono::milliseconds moment_to_confirm{5};

route::Failure no_answer(std::chrono::nanoseconds limit) {
  return {Kind::timed_out, "no answer" + route::within(limit)};
}

}  // namespace

Acquisition::Acquisition(Session& session, protocol::Key key, Wishes wishes, route::Waker& waker)
    : session_{session},
      key_{std::move(key)},
      wishes_{std::move(wishes)},
      waker_{waker},
      fork_generation_{route::fork_generation()},
      member_{key_, wishes_, waker_} {}

Acquisition::~Acquisition() {
  if (fork_generation_ != route::fork_generation()) {
    // A child of fork(): all of it is the parent's, and may be locked for ever here.
    route::leave_alone(std::move(acknowledging_));
    route::leave_alone(std::move(member_.approach));
    route::leave_alone(std::move(member_.lease));
    route::leave_alone(std::move(outcome_));
    return;
  }
  leave();
  if (const auto* granted = std::get_if<Granted>(&outcome_); granted != nullptr && granted->lease) {
    give_back(session_, granted->lease, granted->turn, granted->ticket);
  }
}

/// Its turn may have come without its knowledge: then it is the next one's.
void Acquisition::leave() noexcept {
  const Phase phase = std::exchange(phase_, Phase::over);
  if (phase == Phase::waiting && !session_.lines().withdraw(member_)) {
    if (member_.state() == InLine::passed) {
      give_back(session_, std::exchange(member_.lease, nullptr), member_.turn, member_.ticket);
    } else {
      session_.lines().give_up(member_, std::move(member_.approach));
    }
  }
  if (phase == Phase::confirming) {
    acknowledging_.reset();
    member_.approach->note_broken();  // so it is given back
  } else if (phase != Phase::first) {
    return;
  }
  std::unique_ptr<Approach> left = std::move(member_.approach);
  const std::unique_ptr<Approach> broken{left && left->is_broken() ? left.release() : nullptr};
  if (is_in_line()) left = session_.lines().give_up(member_, std::move(left));
}

std::size_t Acquisition::ahead() { return session_.lines().ahead(member_); }

Acquisition::Outcome Acquisition::take_outcome() { return std::exchange(outcome_, Taken{}); }

route::Procedure::Step Acquisition::over(Outcome outcome) {
  if (member_.approach) claims_lost_ = member_.approach->take_claims_lost();
  leave();
  outcome_ = std::move(outcome);
  return Done{};
}

route::Procedure::Step Acquisition::start(Instant now) {
  begun_ = now;
  if (session_.identity().known()) return enter(now);
  return Reach{.until = wishes_.wait_until ? *wishes_.wait_until : session_.patience(),
               .at = &session_.router().server_of(key_)};
}

route::Procedure::Step Acquisition::resume(Event&& event, Instant now) {
  switch (phase_) {
    case Phase::reaching: return greeted(event, now);
    case Phase::waiting: return look_at_line(std::holds_alternative<Stopped>(event), now);
    case Phase::confirming: return confirmed(acknowledging_->resume(std::move(event), now), now);
    default: return drive(event, now);
  }
}

/// Whatever else is wrong with the server, the request reports it.
route::Procedure::Step Acquisition::greeted(Event& event, Instant now) {
  if (std::holds_alternative<Stopped>(event)) return over(cancelled());
  if (auto* unreached = std::get_if<Unreached>(&event)) {
    route::Failure& failure = unreached->failure;
    // An attempt to connect has a limit of its own.
    const bool time_is_over = failure.kind == Kind::timed_out && (!wishes_.wait_until || time_is_up(now));
    const bool is_over = time_is_over || failure.kind == Kind::cancelled || failure.permanent();
    if (is_over) return over(std::move(failure));
  }
  return enter(now);
}

// ---- in the line of the process -------------------------------------------------------------------------------------

route::Procedure::Step Acquisition::enter(Instant now) {
  if (!is_in_line()) {
    member_.place = place_terms(wishes_);
    phase_ = Phase::first;
    return be_first(now);
  }
  session_.lines().enter(member_);
  phase_ = Phase::waiting;
  return go_on(session_.lines().look(member_), false, now);
}

route::Procedure::Step Acquisition::look_at_line(bool stopped, Instant now) {
  InLine state = member_.state();
  if (state == InLine::waiting && (stopped || time_is_up(now))) {
    if (const auto known = session_.lines().withdraw(member_)) {
      phase_ = Phase::over;
      return over(stopped ? cancelled() : outcome_of(known->met_others, known->trouble.get()));
    }
  }
  if (state == InLine::waiting) state = session_.lines().look(member_);
  return go_on(state, stopped, now);
}

/// Of one whose time is up. `trouble`: why there was no answer so far, or null.
Acquisition::Outcome Acquisition::outcome_of(bool met_others, const route::Failure* trouble) const {
  if (trouble != nullptr && trouble->kind == Kind::refused) {
    return protocol::refusal({.type = protocol::Answer::Type::error, .text = trouble->text}, "acquire");
  }
  // That the time was up amid a dial is no reason by itself.
  const bool is_reason = trouble != nullptr && trouble->kind != Kind::timed_out;
  if (met_others && !is_reason) return Taken{};
  return trouble != nullptr ? *trouble : no_answer(wishes_.wait_until.value_or(session_.patience()) - begun_);
}

route::Procedure::Step Acquisition::go_on(InLine state, bool stopped, Instant now) {
  if (state == InLine::passed) return take_pass(now);
  if (state == InLine::waiting) return note_wait(Sleep{.until = *wishes_.wait_until}, now);
  phase_ = Phase::first;
  return stopped ? over(cancelled()) : be_first(now);
}

/// A turn that came in the moment in which it gave up is a turn.
route::Procedure::Step Acquisition::take_pass(Instant now) {
  std::shared_ptr<Lease> lease = std::exchange(member_.lease, nullptr);
  phase_ = Phase::over;
  if (lease->valid_until(member_.turn) > now) {
    return over(Granted{
        .lease = std::move(lease), .turn = member_.turn, .how = Granted::How::passed, .ticket = member_.ticket});
  }
  // It came too late: the lease had ended before its driver woke.
  if (time_is_up(now)) {
    give_back(session_, lease, member_.turn, member_.ticket);
    return over(Taken{});
  }
  give_back(session_, lease, member_.turn, {});
  session_.lines().enter_again(member_);
  phase_ = Phase::waiting;
  return go_on(session_.lines().look(member_), false, now);
}

/// Tells of the first wait, when no lock is held.
route::Procedure::Step Acquisition::note_wait(const Step& step, Instant now) {
  if (waits_since_) return step;
  waits_since_ = now;
  if (!wishes_.on_wait) return step;
  wishes_.on_wait();
  if (fork_generation_ == route::fork_generation()) return step;
  phase_ = Phase::over;
  outcome_ = route::Failure{Kind::cancelled, "this process was forked while its parent waited"};
  return Done{};
}

// ---- at the server --------------------------------------------------------------------------------------------------

route::Procedure::Step Acquisition::be_first(Instant now) {
  trouble_told_ = met_told_ = false;
  auto& approach = member_.approach;
  const bool is_new = !approach;
  if (is_new) {
    approach = std::make_unique<Approach>(session_, key_, wishes_, member_.place, waker_);
  } else {
    approach->take_over(wishes_, member_.place);
  }
  return converse([&](Conversation& talk) { return is_new ? talk.start(now) : talk.restart(now); }, now);
}

route::Procedure::Step Acquisition::drive(Event& event, Instant now) {
  // The next one finds it as it is.
  if (std::holds_alternative<Stopped>(event)) return over(cancelled());
  const auto place = is_in_line() ? session_.lines().changed_place(member_) : std::nullopt;
  if (place) member_.approach->change_place(wishes_, *place);
  const bool asks_anew = place && std::holds_alternative<Woken>(event);
  return converse(
      [&](Conversation& talk) { return asks_anew ? talk.restart(now) : talk.resume(std::move(event), now); }, now);
}

/// `next`: returns what the conversation wants next.
template <class Next>
route::Procedure::Step Acquisition::converse(const Next& next, Instant now) try {
  return driven(next(member_.approach->conversation()), now);
} catch (...) {
  if (member_.approach) member_.approach->note_broken();
  throw;
}

route::Procedure::Step Acquisition::driven(const Step& step, Instant now) {
  if (is_in_line()) tell_line();
  if (std::holds_alternative<Done>(step)) return conclude(now);
  if (!std::holds_alternative<Sleep>(step) || !member_.approach->machine().met_others()) return step;
  // A lock that is handed over comes with a short lease, which is looked after in the background.
  if (!std::exchange(is_ready_, true)) session_.renewer().get_ready_if_possible();
  return note_wait(step, now);
}

/// What those behind are to hear if their time is up: only if it has changed.
void Acquisition::tell_line() {
  const auto& trouble = member_.approach->conversation().trouble();
  const bool met_others = member_.approach->machine().met_others();
  if (trouble.has_value() == trouble_told_ && met_others == met_told_) return;
  session_.lines().tell(member_, {.met_others = met_others,
                                  .trouble = trouble ? std::make_shared<const route::Failure>(*trouble) : nullptr});
  trouble_told_ = trouble.has_value();
  met_told_ = met_others;
}

route::Procedure::Step Acquisition::conclude(Instant now) {
  const Acquire& machine = member_.approach->machine();
  std::atomic<bool>& contended = session_.contended(key_);
  if (contended.load(std::memory_order_relaxed) != machine.met_others()) contended = machine.met_others();
  const Conversation& conversation = member_.approach->conversation();
  if (const auto& failure = conversation.failure()) {
    if (failure->kind != Kind::timed_out) return over(*failure);
    return over(outcome_of(machine.met_others(), conversation.trouble() ? &*conversation.trouble() : nullptr));
  }
  if (const auto* held = std::get_if<Acquire::Held>(&machine.outcome())) {
    return wishes_.replicas.is_off() ? begin_lease(*held, now) : confirm(*held, now);
  }
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) return over(*refused);
  if (std::holds_alternative<Acquire::Full>(machine.outcome())) return over(Full{});
  return over(Taken{});
}

route::Procedure::Step Acquisition::begin_lease(const Acquire::Held& held, Instant now, Instant confirmed_until) {
  const auto how = held.claimed ? Granted::How::handed_over : Granted::How::free;
  auto [lease, turn] = member_.approach->begin(held, now, confirmed_until);
  if (is_in_line()) session_.lines().granted(member_, lease, now);
  // The approach is of no more use, but goes with the rest: mostly the thread that reads has not allocated it.
  phase_ = Phase::over;
  return over(Granted{.lease = std::move(lease),
                      .turn = turn,
                      .how = how,
                      .ticket = is_in_line() ? member_.ticket : Lines::Ticket{},
                      .handed_at = held.handed_at});
}

// ---- at its replicas ------------------------------------------------------------------------------------------------

/// No longer than the caller may wait; but a lock that came at the last moment has a moment for it.
route::Procedure::Step Acquisition::confirm(const Acquire::Held& held, Instant now) {
  Instant until = session_.confirmed_until(now, held.valid_until - now);
  if (wishes_.wait_until) until = std::min(until, std::max<Instant>(*wishes_.wait_until, now + moment_to_confirm));
  phase_ = Phase::confirming;
  const Lane::Item lock{.key = key_, .id = member_.approach->id(), .lasts_until = held.valid_until};
  acknowledging_ = std::make_unique<Acknowledging>(
      session_, lock, Acknowledging::Terms{.replicas = wishes_.replicas, .until = until}, &waker_);
  return confirmed(acknowledging_->start(now), now);
}

route::Procedure::Step Acquisition::confirmed(const Step& step, Instant now) {
  if (!std::holds_alternative<Done>(step)) return step;
  if (const auto& trouble = acknowledging_->trouble()) {
    return over(std::visit([](const auto& why) { return Outcome{why}; }, *trouble));
  }
  const Instant confirmed_until = acknowledging_->confirmed_until();
  acknowledging_.reset();
  phase_ = Phase::first;
  return begin_lease(std::get<Acquire::Held>(member_.approach->machine().outcome()), now, confirmed_until);
}

}  // namespace redismutex::engine
