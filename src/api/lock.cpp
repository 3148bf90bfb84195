#include <algorithm>
#include <exception>
#include <redismutex/errors.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/observer.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "api/leaving.hpp"
#include "api/lock_access.hpp"
#include "api/outcomes.hpp"
#include "api/quorum.hpp"
#include "api/quorum_lock.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/validate.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "engine/lease.hpp"
#include "engine/quorum/quorum_giving_back.hpp"
#include "engine/stopped_token.hpp"
#include "net/fork.hpp"
#include "protocol/lease.hpp"
#include "route/sleeper.hpp"

namespace redismutex {
namespace {

using std::chrono::milliseconds;

const std::string empty_text;

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

Lock::Lock(std::shared_ptr<api::QuorumLock> quorum) noexcept : quorum_{std::move(quorum)} {}

Lock::Lock(Lock&& other) noexcept
    : runtime_{std::move(other.runtime_)},
      lease_{std::move(other.lease_)},
      turn_{other.turn_},
      ticket_{other.ticket_},
      token_{other.token_},
      options_{std::move(other.options_)},
      quorum_{std::move(other.quorum_)},
      asked_{other.asked_.load(std::memory_order_relaxed)} {}

Lock& Lock::operator=(Lock&& other) noexcept {
  if (this == &other) return *this;
  if (!is_empty()) end_quietly();
  runtime_ = std::move(other.runtime_);
  lease_ = std::move(other.lease_);
  turn_ = other.turn_;
  ticket_ = other.ticket_;
  token_ = other.token_;
  options_ = std::move(other.options_);
  quorum_ = std::move(other.quorum_);
  asked_ = other.asked_.load(std::memory_order_relaxed);
  return *this;
}

Lock::~Lock() {
  if (!is_empty()) end_quietly();
}

/// In a child of fork() a Lock is its parent's.
bool Lock::inherited() const noexcept { return quorum_ ? quorum_->inherited() : runtime_->inherited(); }

bool Lock::is_empty() const noexcept { return !lease_ && !quorum_; }

const std::string& Lock::key() const noexcept {
  if (quorum_) return quorum_->lease().key_text();
  return lease_ ? lease_->key_text() : empty_text;
}

const std::string& Lock::value() const noexcept {
  if (quorum_) return quorum_->lease().value();
  return lease_ ? lease_->value() : empty_text;
}

std::optional<std::uint64_t> Lock::fencing_token() const noexcept {
  if (quorum_) return quorum_->fencing_token();
  return lease_ && token_ != 0 ? std::optional{token_} : std::nullopt;
}

// ---- the lease ------------------------------------------------------------------------------------------------------

milliseconds Lock::lease_ends_in() const noexcept {
  if (quorum_) return quorum_->lease_ends_in();
  if (!lease_ || inherited()) return milliseconds{0};
  return protocol::time_left(lease_->valid_until(turn_), runtime_->session().now());
}

bool Lock::owns_lock() const noexcept { return api::LockAccess::valid_for(*this) > milliseconds{0}; }

milliseconds Lock::valid_for() const noexcept {
  if (quorum_) return quorum_->valid_for();
  if (lease_ && !inherited() && lease_->is_claim(turn_) && !asked_.exchange(true)) ask_for_full_lease();
  return api::LockAccess::valid_for(*this);
}

milliseconds api::LockAccess::valid_for(const Lock& lock) noexcept {
  if (lock.quorum_) return lock.quorum_->valid_here();
  if (!lock.lease_ || lock.inherited()) return milliseconds{0};
  return protocol::time_left(lock.lease_->valid_here_until(lock.turn_), lock.runtime_->session().now());
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

milliseconds api::LockAccess::expiry(const Lock& lock) noexcept {
  return lock.quorum_ ? lock.quorum_->expiry() : *lock.options_->expiry;
}

void Lock::extend() { extend(is_empty() ? milliseconds{} : api::LockAccess::expiry(*this)); }

void Lock::extend(milliseconds expiry) {
  if (!is_empty()) api::check_expiry("extend: expiry", expiry);
  if (const auto quorum = quorum_) return quorum->extend(expiry);
  api::LockAccess::check_extension(*this);
  // Copies: what is told of a loss, or an observer, may let go of this Lock.
  const api::LockAccess::Parts parts = api::LockAccess::parts(*this);
  route::Sleeper sleeper;
  engine::Extending extending{parts.runtime->session(), parts.lease, parts.turn, {.expiry = expiry, .waker = &sleeper}};
  try {
    parts.runtime->drive(extending, sleeper);
  } catch (const std::system_error& error) {
    api::report::raise(parts.runtime->server_name(), {"extend", parts.lease->key()},
                       {route::Failure::Kind::exhausted, error.code().message()});
  }
  api::LockAccess::conclude(parts, extending);
}

void api::LockAccess::check_extension(const Lock& lock) {
  if (lock.is_empty()) throw MutexUnlockError{"cannot extend: this Lock holds nothing"};
  if (lock.quorum_) return lock.quorum_->check_extension();
  if (!lock.inherited()) return;
  throw MutexUnlockError{
      report::cannot(lock.runtime_->server_name(), {"extend", lock.lease_->key()}, "it is held by the parent process")};
}

void api::LockAccess::conclude(const Parts& parts, engine::Extending& extending) {
  const auto& [runtime, lease, turn, ticket, options] = parts;
  const api::report::Action action{"extend", lease->key()};
  const std::string& server = runtime->server_name();
  if (const auto loss = extending.take_loss()) loss->run();
  api::raise_unless_extended(server, action, extending.outcome());
  if (Observer* const observer = runtime->observer()) {
    const milliseconds left = protocol::time_left(lease->valid_until(turn), runtime->session().now());
    observer->lease_renewed({{options->name, lease->key_text()}, left, lease->standing().waiting});
  }
}

// ---- loss -----------------------------------------------------------------------------------------------------------

std::stop_token Lock::lost_token() const noexcept {
  if (quorum_) return inherited() ? engine::stopped_token() : quorum_->lost_token();
  if (!lease_) return {};
  if (inherited()) return engine::stopped_token();
  try {
    return lease_->lost_token(turn_);
  } catch (const std::exception& error) {  // no thread, no descriptor, no memory
    try {
      runtime_->callbacks().log_here(
          api::report::cannot(runtime_->server_name(), {"watch", lease_->key()}, error.what()) +
          "; its lost_token() has stopped already");
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
    }
    return engine::stopped_token();
  }
}

std::optional<Loss> Lock::loss() const noexcept {
  if (is_empty()) return std::nullopt;
  if (inherited()) return Loss::gone;
  return quorum_ ? quorum_->lease().lost() : lease_->lost();
}

// ---- the end --------------------------------------------------------------------------------------------------------

namespace {

using engine::GivingBack;

}  // namespace

/// For tell_end(), while the lease is there.
std::chrono::nanoseconds Lock::began_at() const noexcept {
  if (quorum_) return quorum_->began_at();
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
  if (quorum_) return quorum_->end();
  api::LockAccess::check_release(*this);
  engine::Session& session = runtime_->session();
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
  api::LockAccess::conclude(*this, outcome, began);
}

void api::LockAccess::check_release(const Lock& lock) {
  if (lock.quorum_) return lock.quorum_->check_release();
  if (!lock.inherited()) return;
  lock.tell_end(HoldEnded::Outcome::abandoned, {});
  throw MutexUnlockError{report::cannot(lock.runtime_->server_name(), {"release", lock.lease_->key()},
                                        "it is held by the parent process")};
}

void api::LockAccess::conclude(const Lock& lock, const GivingBack::Outcome& outcome, std::chrono::nanoseconds began) {
  if (lock.quorum_) return lock.quorum_->conclude(outcome, began);
  lock.tell_end(api::ending_of(outcome), began);
  lock.report_end({outcome});
}

void api::LockAccess::give_back(const Lock& lock, bool is_told) noexcept {
  const bool inherited = lock.inherited();
  const auto outcome = inherited ? HoldEnded::Outcome::abandoned : HoldEnded::Outcome::unknown;
  const std::chrono::nanoseconds began = began_at(lock);
  if (lock.quorum_) {
    if (!inherited) engine::give_back(*lock.quorum_->lease_owner());
    if (!is_told) lock.quorum_->tell_end(outcome, began);
    return;
  }
  if (!inherited) {
    engine::give_back(lock.runtime_->session(), lock.lease_, lock.turn_, engine::Lines::Ticket{lock.ticket_});
  }
  if (!is_told) lock.tell_end(outcome, began);
}

api::LockAccess::Parts api::LockAccess::parts(const Lock& lock) {
  return {lock.runtime_, lock.lease_, lock.turn_, engine::Lines::Ticket{lock.ticket_}, lock.options_};
}

Lock api::LockAccess::make(std::shared_ptr<Runtime> runtime, engine::Acquisition::Granted granted,
                           std::shared_ptr<const Options> options) noexcept {
  return Lock{std::move(runtime), {std::move(granted.lease), granted.turn, granted.ticket.number}, std::move(options)};
}

Lock api::LockAccess::make(std::shared_ptr<QuorumLock> quorum) noexcept { return Lock{std::move(quorum)}; }

/// Throws for what went wrong.
void Lock::report_end(const api::Ending& ending) const {
  const api::report::Action action{"release", lease_->key()};
  api::raise_unless_released(runtime_->server_name(), action, ending.outcome, runtime_->callbacks());
}

void Lock::release() {
  if (is_empty()) throw MutexUnlockError{"cannot release: this Lock holds nothing"};
  Lock ended{std::move(*this)};
  const Forgets forgets{ended};
  ended.end();
}

void Lock::release_or_log() {
  if (is_empty()) return;
  const bool had_expired = lease_ends_in() == milliseconds{0};
  const std::shared_ptr<api::Runtime> runtime = runtime_;
  const std::shared_ptr<engine::Lease> lease = lease_;
  const std::shared_ptr<api::QuorumLock> quorum = quorum_;
  try {
    release();
  } catch (const MutexUnlockError&) {
    throw;
  } catch (const std::exception&) {  // the log was told
    if (!had_expired) return;
    const api::report::Action action{"release", quorum ? quorum->lease().key() : lease->key()};
    const std::string& server = quorum ? quorum->server_name() : runtime->server_name();
    throw MutexUnlockError{api::report::cannot(server, action, api::report::was_lost)};
  }
}

void Lock::end_quietly() noexcept {
  try {
    const Forgets forgets{*this};
    end();
  } catch (...) {  // NOLINT(bugprone-empty-catch): it is not ours any more, or will not be for long
  }
}

void Lock::leave() noexcept {
  if (is_empty()) return;
  Lock left{std::move(*this)};
  const Forgets forgets{left};
  if (left.quorum_) return left.quorum_->leave();
  if (left.inherited()) return left.tell_end(HoldEnded::Outcome::abandoned, {});
  if (left.lease_->is_claim(turn_)) left.ask_for_full_lease();
  const std::chrono::nanoseconds began = left.began_at();
  const auto label = left.lease_->leave(turn_);
  if (ticket_ != 0) left.runtime_->session().lines().leave(left.lease_->key(), engine::Lines::Ticket{ticket_});
  if (label) api::write_label(*left.runtime_, *left.lease_, *label);
  left.tell_end(HoldEnded::Outcome::left, began);
}

/// In a child of fork() the lease may be locked by a thread that is not there.
Lock::Forgets::~Forgets() {
  if (lock.quorum_) {
    if (lock.inherited()) net::leave_alone(std::move(lock.quorum_));
    lock.quorum_.reset();
    return;
  }
  if (lock.runtime_->inherited()) net::leave_alone(std::move(lock.lease_));
  lock.lease_.reset();
  lock.runtime_.reset();
  lock.options_.reset();
}

}  // namespace redismutex
