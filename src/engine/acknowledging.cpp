#include "engine/acknowledging.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "engine/session.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using State = Lane::Member::State;

// How often one looks whose driver can not be woken.
constexpr std::chrono::milliseconds between_looks{1};

}  // namespace

Acknowledging::Acknowledging(Session& session, const Lane::Item& lock, const Terms& terms, route::Waker* waker)
    : waker_{waker},
      lane_{session.lanes().of(lock.key)},
      items_{lock},
      member_{items_,
              {.replicas = terms.replicas, .until = terms.until, .slot = session.router().slot_of(lock.key)},
              *this,
              true} {}

Acknowledging::~Acknowledging() {
  flight_.reset();
  lane_->leave(member_);
}

void Acknowledging::wake() noexcept {
  if (waker_ != nullptr) waker_->wake();
}

route::Waker::Rest Acknowledging::begin_wake() noexcept { return waker_ != nullptr ? waker_->begin_wake() : Rest{}; }

route::Procedure::Step Acknowledging::start(Instant now) {
  began_ = now;
  lane_->enter(member_);
  return look(false, now);
}

route::Procedure::Step Acknowledging::resume(Event&& event, Instant now) {
  if (std::holds_alternative<Stopped>(event)) stopped_ = true;
  if (const auto* unanswered = std::get_if<Unanswered>(&event)) {
    stopped_ = stopped_ || unanswered->failure.kind == route::Failure::Kind::cancelled;
  }
  if (flight_) return fly(flight_->resume(std::move(event), now), now);
  return look(stopped_, now);
}

route::Procedure::Step Acknowledging::fly(Step step, Instant now) {
  if (!std::holds_alternative<Done>(step)) return step;
  flight_.reset();
  return look(stopped_, now);
}

route::Procedure::Step Acknowledging::look(bool stopped, Instant now) {
  const State state = lane_->look(member_);
  if (state == State::over) {
    const bool is_confirmed = member_.is_confirmed() && items_.front().there_until;
    if (is_confirmed) return over(std::nullopt);
    return over(member_.why_not(std::chrono::floor<std::chrono::milliseconds>(now - began_)));
  }
  const bool is_late = now >= member_.terms().until;
  if (stopped || is_late) {
    lane_->leave(member_);
    if (stopped) return over(route::Failure{route::Failure::Kind::cancelled, "cancelled"});
    return over(member_.why_not(std::chrono::floor<std::chrono::milliseconds>(now - began_)));
  }
  if (state == State::leads) {
    flight_.emplace(lane_, &member_);
    return fly(flight_->start(now), now);
  }
  const Instant until = member_.terms().until;
  return Sleep{.until = waker_ != nullptr ? until : std::min<Instant>(until, now + between_looks)};
}

route::Procedure::Step Acknowledging::over(std::optional<Lane::Trouble> trouble) {
  trouble_ = std::move(trouble);
  return Done{};
}

}  // namespace redismutex::engine
