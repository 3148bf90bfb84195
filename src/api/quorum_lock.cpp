#include "api/quorum_lock.hpp"

#include <exception>
#include <new>
#include <redismutex/errors.hpp>
#include <system_error>
#include <utility>

#include "api/leaving.hpp"
#include "api/outcomes.hpp"
#include "api/report.hpp"
#include "engine/quorum/quorum_extending.hpp"
#include "engine/quorum/quorum_giving_back.hpp"
#include "engine/quorum/quorum_leaving.hpp"
#include "engine/stopped_token.hpp"
#include "protocol/lease.hpp"
#include "route/peer.hpp"
#include "route/sleeper.hpp"

namespace redismutex::api {

using engine::QuorumExtending;
using engine::QuorumGivingBack;
using std::chrono::milliseconds;

std::optional<std::uint64_t> QuorumLock::fencing_token() const noexcept {
  const std::uint64_t token = lease_->token();
  return token != 0 ? std::optional{token} : std::nullopt;
}

// ---- the lease ------------------------------------------------------------------------------------------------------

milliseconds QuorumLock::lease_ends_in() const noexcept {
  if (inherited()) return milliseconds{0};
  return protocol::time_left(lease_->valid_until(), quorum_->first().session().now());
}

milliseconds QuorumLock::valid_for() noexcept {
  if (!inherited() && lease_->has_claims() && !asked_.exchange(true)) ask_for_full_lease();
  return valid_here();
}

milliseconds QuorumLock::valid_here() const noexcept {
  if (inherited()) return milliseconds{0};
  return protocol::time_left(lease_->valid_here_until(), quorum_->first().session().now());
}

/// Where that fails it has the short one.
void QuorumLock::ask_for_full_lease() noexcept try {
  route::Sleeper sleeper;
  QuorumExtending extending{lease_, {.expiry = expiry(), .longer = protocol::Longer::stays}, sleeper};
  route::drive(extending, sleeper);
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

void QuorumLock::check_extension() const {
  if (!inherited()) return;
  throw MutexUnlockError{report::cannot(server_name(), {"extend", lease_->key()}, "it is held by the parent process")};
}

void QuorumLock::extend(milliseconds expiry) {
  check_extension();
  route::Sleeper sleeper;
  QuorumExtending extending{lease_, {.expiry = expiry, .longer = protocol::Longer::goes}, sleeper};
  try {
    route::drive(extending, sleeper);
  } catch (const std::system_error& error) {
    report::raise(server_name(), {"extend", lease_->key()}, {route::Failure::Kind::exhausted, error.code().message()});
  }
  conclude(extending);
}

void QuorumLock::conclude(QuorumExtending& extending) const {
  if (const auto loss = extending.take_loss()) loss->run();
  raise_unless_extended(server_name(), {"extend", lease_->key()}, extending.outcome());
  if (Observer* const observer = quorum_->first().observer()) {
    observer->lease_renewed({{lease_->terms().name, lease_->key_text()}, lease_ends_in(), 0});
  }
}

// ---- loss -----------------------------------------------------------------------------------------------------------

std::stop_token QuorumLock::lost_token() noexcept {
  try {
    return lease_->lost_token();
  } catch (const std::exception& error) {  // no thread, no descriptor, no memory
    try {
      quorum_->first().callbacks().log_here(report::cannot(server_name(), {"watch", lease_->key()}, error.what()) +
                                            "; its lost_token() has stopped already");
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
    }
    return engine::stopped_token();
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

void QuorumLock::tell_end(HoldEnded::Outcome outcome, std::chrono::nanoseconds began) const noexcept {
  Observer* const observer = quorum_->first().observer();
  if (observer == nullptr) return;
  const auto now = quorum_->first().session().now().time_since_epoch();
  const bool abandoned = outcome == HoldEnded::Outcome::abandoned;
  observer->hold_ended(
      {{options_->name, lease_->key().text()}, outcome, abandoned ? std::chrono::nanoseconds{} : now - began});
}

void QuorumLock::check_release() const {
  if (!inherited()) return;
  tell_end(HoldEnded::Outcome::abandoned, {});
  throw MutexUnlockError{report::cannot(server_name(), {"release", lease_->key()}, "it is held by the parent process")};
}

void QuorumLock::end() {
  check_release();
  const std::chrono::nanoseconds began = began_at();
  route::Sleeper sleeper;
  QuorumGivingBack giving{lease_, sleeper};
  engine::GivingBack::Outcome outcome = engine::NoAnswer{{route::Failure::Kind::exhausted, net::out_of_memory}};
  try {
    route::drive(giving, sleeper);
    outcome = giving.outcome();
    if (const auto loss = giving.take_loss()) loss->run();
  } catch (const std::bad_alloc&) {
    tell_end(HoldEnded::Outcome::unknown, began);
    throw;
  }
  conclude(outcome, began);
}

void QuorumLock::conclude(const engine::GivingBack::Outcome& outcome, std::chrono::nanoseconds began) const {
  tell_end(ending_of(outcome), began);
  raise_unless_released(server_name(), {"release", lease_->key()}, outcome, quorum_->first().callbacks());
}

void QuorumLock::leave() noexcept {
  if (inherited()) return tell_end(HoldEnded::Outcome::abandoned, {});
  if (lease_->has_claims()) ask_for_full_lease();
  const std::chrono::nanoseconds began = began_at();
  try {
    route::Sleeper sleeper;
    engine::QuorumLeaving leaving{lease_, sleeper};
    route::drive(leaving, sleeper);
    leaving.tell_troubles([this](std::size_t server, const std::string& why) {
      tell_of_label(quorum_->member(server), lease_->key(), why);
    });
  } catch (const std::exception&) {  // no thread, no memory; the lock stands without it
    for (const engine::QuorumLease::Part& part : lease_->end()) part.lease->leave(part.turn);
  }
  tell_end(HoldEnded::Outcome::left, began);
}

}  // namespace redismutex::api
