#include "api/attempt.hpp"

#include <algorithm>
#include <redismutex/errors.hpp>
#include <utility>

#include "api/runtime.hpp"
#include "api/validate.hpp"

namespace redismutex::api {

Attempt::Attempt(Runtime& runtime, const std::string& server, std::string_view key, const Options& options,
                 std::optional<std::chrono::milliseconds> limit)
    : runtime_{runtime},
      server_{server},
      key_{key},
      options_{options},
      limit_{limit},
      began_{runtime.session().now()} {}

engine::Wishes Attempt::wishes(std::function<void()> on_wait) const {
  return {.expiry = *options_.expiry,
          .delay = *options_.delay,
          .wait_until = limit_ ? std::optional{began_ + *limit_} : std::nullopt,
          .max_waiters = options_.max_waiters,
          .local_handoffs = options_.local_handoffs,
          .fencing = options_.fencing,
          .replicas = options_.replicas,
          .renews = options_.auto_renew,
          .max_hold = options_.max_hold,
          .label = options_.label,
          .name = options_.name,
          .on_wait = std::move(on_wait)};
}

void Attempt::tell(const engine::Acquisition::Granted& granted) const noexcept {
  using How = engine::Acquisition::Granted::How;
  switch (granted.how) {
    case How::free: return tell(Outcome::free);
    case How::handed_over: return tell(Outcome::handed_over, granted.handed_at);
    default: tell(Outcome::passed);
  }
}

void Attempt::tell(const engine::QuorumAcquisition::Granted& granted) const noexcept {
  tell(granted.was_handed ? Outcome::handed_over : Outcome::free);
}

void Attempt::raise(const protocol::Refusal& refusal) const {
  tell(Outcome::error);
  report::raise(server_, action(), refusal);
}

void Attempt::raise_full() const {
  tell(Outcome::queue_full);
  throw MutexLockError{
      cannot(std::to_string(options_.max_waiters) + " wait for it already, and no more may (Options::max_waiters)")};
}

void Attempt::raise(const route::Failure& failure) const {
  tell(failure.kind == route::Failure::Kind::cancelled ? Outcome::cancelled : Outcome::error);
  report::raise(server_, action(), failure);
}

void Attempt::tell_wait(std::string_view id) const noexcept {
  if (Observer* const observer = runtime_.observer()) observer->wait_began({about(), id, this});
}

void Attempt::tell(Outcome outcome, std::optional<protocol::Instant> handed_at) const noexcept {
  const bool has_waited = progress_.exchange(Progress::over) == Progress::waiting;
  Observer* const observer = runtime_.observer();
  if (observer == nullptr) return;
  const protocol::Instant now = runtime_.session().now();
  AttemptEnded ended{about(), outcome, now - began_, this, has_waited};
  if (handed_at)
    ended.handover_delay = std::max<std::chrono::nanoseconds>(std::chrono::nanoseconds::zero(), now - *handed_at);
  ended.claims_lost = claims_lost_;
  observer->attempt_ended(ended);
}

std::string Attempt::cannot(std::string_view why) const { return report::cannot(server_, action(), why); }

std::string Attempt::taken() const {
  return cannot(limit_ ? "it was still taken after the block time of " + in_ms(*limit_)
                       : "it is taken, and this mutex does not wait");
}

}  // namespace redismutex::api
