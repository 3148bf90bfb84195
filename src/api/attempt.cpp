#include "api/attempt.hpp"

#include <redismutex/errors.hpp>
#include <utility>
#include <variant>

#include "api/runtime.hpp"
#include "api/validate.hpp"
#include "protocol/exchange.hpp"

namespace redismutex::api {

using engine::Acquisition;

Attempt::Attempt(Runtime& runtime, std::string_view key, const Options& options,
                 std::optional<std::chrono::milliseconds> limit)
    : runtime_{runtime}, key_{key}, options_{options}, limit_{limit}, began_{runtime.session().now()} {}

engine::Wishes Attempt::wishes(std::function<void()> on_wait) const {
  return {.expiry = *options_.expiry,
          .delay = *options_.delay,
          .wait_until = limit_ ? std::optional{began_ + *limit_} : std::nullopt,
          .max_waiters = options_.max_waiters,
          .local_handoffs = options_.local_handoffs,
          .fencing = options_.fencing,
          .renews = options_.auto_renew,
          .max_hold = options_.max_hold,
          .label = options_.label,
          .name = options_.name,
          .on_wait = std::move(on_wait)};
}

namespace {

Attempt::Outcome outcome_of(Acquisition::Granted::How how) {
  using How = Acquisition::Granted::How;
  switch (how) {
    case How::free: return Attempt::Outcome::free;
    case How::handed_over: return Attempt::Outcome::handed_over;
    default: return Attempt::Outcome::passed;
  }
}

}  // namespace

std::optional<Acquisition::Granted> Attempt::take_in(Acquisition::Outcome outcome) const {
  if (auto* granted = std::get_if<Acquisition::Granted>(&outcome)) {
    tell(outcome_of(granted->how));
    return std::move(*granted);
  }
  if (const auto* failure = std::get_if<route::Failure>(&outcome)) raise(*failure);
  if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) {
    tell(Outcome::error);
    report::raise(runtime_.server_name(), action(), *refusal);
  }
  if (std::holds_alternative<Acquisition::Full>(outcome)) {
    tell(Outcome::queue_full);
    throw MutexLockError{
        cannot("Options::max_waiters, " + std::to_string(options_.max_waiters) + ", are waiting for it already")};
  }
  tell(limit_ ? Outcome::timed_out : Outcome::taken);
  return std::nullopt;
}

void Attempt::raise(const route::Failure& failure) const {
  tell(failure.kind == route::Failure::Kind::cancelled ? Outcome::cancelled : Outcome::error);
  report::raise(runtime_.server_name(), action(), failure);
}

void Attempt::tell_wait(std::string_view id) const noexcept {
  if (Observer* const observer = runtime_.observer()) observer->wait_began({about(), id});
}

void Attempt::tell(Outcome outcome) const noexcept {
  if (Observer* const observer = runtime_.observer()) {
    observer->attempt_ended({about(), outcome, runtime_.session().now() - began_});
  }
}

std::string Attempt::cannot(std::string_view why) const {
  return report::cannot(runtime_.server_name(), action(), why);
}

std::string Attempt::taken() const {
  return cannot(limit_ ? "it was still taken after the block time of " + in_ms(*limit_)
                       : "it is taken, and this mutex does not wait");
}

}  // namespace redismutex::api
