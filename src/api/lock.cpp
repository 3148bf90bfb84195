#include <algorithm>
#include <exception>
#include <redismutex/errors.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/observer.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/validate.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "engine/lease.hpp"
#include "net/fork.hpp"
#include "protocol/label.hpp"
#include "protocol/lease.hpp"
#include "route/sleeper.hpp"

namespace redismutex {
namespace {

using std::chrono::milliseconds;

const std::string nothing;

/// A token of it is for a lock whose loss nobody can be told of: such a lock counts as lost from the start. Made before there is
/// need of it, and never destroyed: a lock may be looked at after main() has returned.
const std::stop_source& already_stopped = *[] {
  auto* const source = new std::stop_source;
  source->request_stop();
  return source;
}();

}  // namespace

/// How a Lock has ended.
struct api::Ending {
  const engine::GivingBack::Outcome& outcome;
};

Lock::Lock(std::shared_ptr<api::Runtime> runtime, Granted granted, std::shared_ptr<const Options> options) noexcept
    : runtime_{std::move(runtime)},
      lease_{std::move(granted.lease)},
      turn_{granted.turn},
      ticket_{granted.ticket},
      token_{options->fencing ? lease_->token(turn_) : 0},
      options_{std::move(options)} {}

Lock::Lock(Lock&& other) noexcept
    : runtime_{std::move(other.runtime_)},
      lease_{std::move(other.lease_)},
      turn_{other.turn_},
      ticket_{other.ticket_},
      token_{other.token_},
      options_{std::move(other.options_)},
      asked_{other.asked_.load(std::memory_order_relaxed)} {}

Lock& Lock::operator=(Lock&& other) noexcept {
  if (this == &other) return *this;
  if (lease_) end_quietly();
  runtime_ = std::move(other.runtime_);
  lease_ = std::move(other.lease_);
  turn_ = other.turn_;
  ticket_ = other.ticket_;
  token_ = other.token_;
  options_ = std::move(other.options_);
  asked_ = other.asked_.load(std::memory_order_relaxed);
  return *this;
}

Lock::~Lock() {
  if (lease_) end_quietly();
}

/// In a child of fork() a Lock is its parent's.
bool Lock::inherited() const noexcept { return runtime_->inherited(); }

const std::string& Lock::key() const noexcept { return lease_ ? lease_->key_text() : nothing; }

const std::string& Lock::value() const noexcept { return lease_ ? lease_->value() : nothing; }

std::optional<std::uint64_t> Lock::fencing_token() const noexcept {
  return lease_ && token_ != 0 ? std::optional{token_} : std::nullopt;
}

// ---- the lease ------------------------------------------------------------------------------------------------------

milliseconds Lock::lease_ends_in() const noexcept {
  if (!lease_ || inherited()) return milliseconds{0};
  return protocol::time_left(lease_->valid_until(turn_), runtime_->session().now());
}

bool Lock::owns_lock() const noexcept { return lease_ends_in() > milliseconds{0}; }

milliseconds Lock::valid_for() const noexcept {
  if (lease_ && !inherited() && lease_->is_claim(turn_) && !asked_.exchange(true)) ask_for_full_lease();
  if (!lease_ || inherited()) return milliseconds{0};
  return protocol::time_left(lease_->valid_here_until(turn_), runtime_->session().now());
}

/// Where that fails it has the short one.
void Lock::ask_for_full_lease() const noexcept try {
  route::Sleeper sleeper;
  engine::Extending extending{runtime_->session(),
                              lease_,
                              turn_,
                              {.expiry = *options_->expiry, .longer = protocol::Longer::stays, .waker = &sleeper}};
  runtime_->drive(extending, sleeper);
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

void Lock::extend() { extend(lease_ ? *options_->expiry : milliseconds{}); }

void Lock::extend(milliseconds expiry) {
  if (lease_) api::check_expiry("extend: expiry", expiry);
  if (!lease_) throw MutexUnlockError{"cannot extend: this Lock holds nothing"};
  // Copies: what is told of a loss, or an observer, may let go of this Lock.
  const std::shared_ptr<api::Runtime> runtime = runtime_;
  const std::shared_ptr<engine::Lease> lease = lease_;
  const std::shared_ptr<const Options> options = options_;
  const std::uint64_t turn = turn_;
  const api::report::Action action{"extend", lease->key()};
  const std::string& server = runtime->server_name();
  if (inherited()) throw MutexUnlockError{api::report::cannot(server, action, "it is held by the parent process")};
  route::Sleeper sleeper;
  engine::Extending extending{runtime->session(), lease, turn_, {.expiry = expiry, .waker = &sleeper}};
  try {
    runtime->drive(extending, sleeper);
  } catch (const std::system_error& error) {
    api::report::raise(server, action, {route::Failure::Kind::exhausted, error.code().message()});
  }
  if (const auto loss = extending.take_loss()) loss->run();
  const engine::Extending::Outcome& outcome = extending.outcome();
  if (std::holds_alternative<engine::Extending::Ended>(outcome)) {
    throw MutexUnlockError{api::report::cannot(server, action, "its lease has ended")};
  }
  if (std::holds_alternative<engine::Extending::Gone>(outcome)) {
    throw MutexUnlockError{api::report::cannot(server, action, api::report::was_lost)};
  }
  if (const auto* refusal = std::get_if<protocol::Refusal>(&outcome)) api::report::raise(server, action, *refusal);
  if (const auto* unanswered = std::get_if<engine::NoAnswer>(&outcome)) {
    if (!unanswered->unknown) api::report::raise(server, action, unanswered->failure);
    api::report::raise_unknown(server, action, unanswered->failure, "valid_for() says what can be relied on");
  }
  if (Observer* const observer = runtime->observer()) {
    const milliseconds left = protocol::time_left(lease->valid_until(turn), runtime->session().now());
    observer->lease_renewed({{options->name, lease->key_text()}, left, lease->standing().waiting});
  }
}

// ---- loss -----------------------------------------------------------------------------------------------------------

std::stop_token Lock::lost_token() const noexcept {
  if (!lease_) return {};
  if (inherited()) return already_stopped.get_token();
  try {
    return lease_->lost_token(turn_);
  } catch (const std::exception& error) {  // no thread, no descriptor, no memory
    try {
      runtime_->callbacks().log_here(
          api::report::cannot(runtime_->server_name(), {"watch", lease_->key()}, error.what()) +
          "; its lost_token() has stopped already");
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
    }
    return already_stopped.get_token();
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

namespace {

using engine::GivingBack;

HoldEnded::Outcome outcome_of(const GivingBack::Outcome& outcome) {
  using Outcome = HoldEnded::Outcome;
  if (std::holds_alternative<GivingBack::Gone>(outcome)) return Outcome::gone;
  if (std::holds_alternative<GivingBack::Expired>(outcome)) return Outcome::expired;
  const bool unknown =
      std::holds_alternative<engine::NoAnswer>(outcome) || std::holds_alternative<protocol::Refusal>(outcome);
  return unknown ? Outcome::unknown : Outcome::released;
}

}  // namespace

/// For tell_end(), while the lease is there.
std::chrono::nanoseconds Lock::began_at() const noexcept {
  return runtime_->observer() != nullptr ? lease_->began().time_since_epoch() : std::chrono::nanoseconds{};
}

void Lock::tell_end(HoldEnded::Outcome outcome, std::chrono::nanoseconds began) const noexcept {
  Observer* const observer = runtime_->observer();
  if (observer == nullptr) return;
  const auto now = runtime_->session().now().time_since_epoch();
  const bool abandoned = outcome == HoldEnded::Outcome::abandoned;
  observer->hold_ended(
      {{options_->name, lease_->key().text()}, outcome, abandoned ? std::chrono::nanoseconds{} : now - began});
}

/// Once. What is thrown is what release() throws.
void Lock::end() {
  const api::report::Action action{"release", lease_->key()};
  const std::string& server = runtime_->server_name();
  engine::Session& session = runtime_->session();
  if (inherited()) {
    tell_end(HoldEnded::Outcome::abandoned, {});
    throw MutexUnlockError{api::report::cannot(server, action, "it is held by the parent process")};
  }
  const std::chrono::nanoseconds began = began_at();
  route::Sleeper sleeper;
  GivingBack giving{session, lease_, turn_, engine::Lines::Ticket{ticket_}, &sleeper};
  GivingBack::Outcome outcome = engine::NoAnswer{{route::Failure::Kind::exhausted, net::out_of_memory}};
  try {
    runtime_->drive(giving, sleeper);
    outcome = giving.outcome();
    if (const auto loss = giving.take_loss()) loss->run();
  } catch (const std::system_error& error) {
    outcome = engine::NoAnswer{{route::Failure::Kind::exhausted, error.code().message()}};
  } catch (const std::bad_alloc&) {
    tell_end(HoldEnded::Outcome::unknown, began);
    throw;
  }
  tell_end(outcome_of(outcome), began);
  report_end({outcome});
}

/// Throws for what went wrong.
void Lock::report_end(const api::Ending& ending) const {
  const GivingBack::Outcome& outcome = ending.outcome;
  const api::report::Action action{"release", lease_->key()};
  const std::string& server = runtime_->server_name();
  if (std::holds_alternative<GivingBack::Gone>(outcome) || std::holds_alternative<GivingBack::Expired>(outcome)) {
    throw MutexUnlockError{api::report::cannot(server, action, api::report::was_lost)};
  }
  const auto* unanswered = std::get_if<engine::NoAnswer>(&outcome);
  const auto* refused = std::get_if<protocol::Refusal>(&outcome);
  if (unanswered == nullptr && refused == nullptr) return;
  const std::string& why = unanswered != nullptr ? unanswered->failure.text : refused->text;
  runtime_->callbacks().log_here(api::report::cannot(server, action, why) +
                                 "; that is tried again in the background while its lease lasts");
  if (refused != nullptr) api::report::raise(server, action, *refused);
  if (!unanswered->unknown) api::report::raise(server, action, unanswered->failure);
  api::report::raise_unknown(server, action, unanswered->failure, "if it is not released, its lease ends by itself");
}

void Lock::release() {
  if (!lease_) throw MutexUnlockError{"cannot release: this Lock holds nothing"};
  Lock ended{std::move(*this)};
  const Forgets forgets{ended};
  ended.end();
}

void Lock::release_or_log() {
  if (!lease_) return;
  const bool had_expired = !owns_lock();
  const std::shared_ptr<api::Runtime> runtime = runtime_;
  const std::shared_ptr<engine::Lease> lease = lease_;
  try {
    release();
  } catch (const MutexUnlockError&) {
    throw;
  } catch (const std::exception&) {  // the log was told
    if (!had_expired) return;
    const api::report::Action action{"release", lease->key()};
    throw MutexUnlockError{api::report::cannot(runtime->server_name(), action, api::report::was_lost)};
  }
}

void Lock::end_quietly() noexcept {
  try {
    const Forgets forgets{*this};
    end();
  } catch (...) {  // NOLINT(bugprone-empty-catch): it is not ours any more, or will not be for long
  }
}

namespace {

/// Nobody writes it any more once this process has ended. A server that is away is not waited for.
void write_label(api::Runtime& runtime, const engine::Lease& lease, const engine::Lease::Left& left) noexcept try {
  protocol::WriteLabel machine{lease.key(), lease.id(), left.label};
  const engine::Session& session = runtime.session();
  const auto failure = runtime.run(machine, session.terms_sparing_absent(std::min(session.patience(), left.until)));
  const auto* const refusal = std::get_if<protocol::Refusal>(&machine.outcome());
  if (!failure && refusal == nullptr) return;
  const std::string& why = failure ? failure->text : refusal->text;
  runtime.callbacks().log_here(api::report::cannot(runtime.server_name(), {"write the label of", lease.key()}, why));
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; the lock stands without it
}

}  // namespace

void Lock::leave() noexcept {
  if (!lease_) return;
  Lock left{std::move(*this)};
  const Forgets forgets{left};
  if (left.inherited()) return left.tell_end(HoldEnded::Outcome::abandoned, {});
  const std::chrono::nanoseconds began = left.began_at();
  const auto label = left.lease_->leave(turn_);
  if (ticket_ != 0) left.runtime_->session().lines().leave(left.lease_->key(), engine::Lines::Ticket{ticket_});
  if (label) write_label(*left.runtime_, *left.lease_, *label);
  left.tell_end(HoldEnded::Outcome::left, began);
}

/// In a child of fork() the lease may be locked by a thread that is not there.
Lock::Forgets::~Forgets() {
  if (lock.runtime_->inherited()) net::leave_alone(std::move(lock.lease_));
  lock.lease_.reset();
  lock.runtime_.reset();
  lock.options_.reset();
}

}  // namespace redismutex
