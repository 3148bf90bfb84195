#include <redismutex/errors.hpp>
#include <redismutex/lock.hpp>
#include <utility>

#include "engine/clock.hpp"
#include "engine/hold.hpp"
#include "engine/validate.hpp"
#include "protocol/lease.hpp"

namespace redismutex {
namespace {

const std::string nothing;

/// A token of it is for a lock whose loss nobody can be told of: such a lock counts as lost from the start. Made before there is
/// need of it, and never destroyed: a lock may be looked at after main() has returned.
const std::stop_source& already_stopped = *[] {
  auto* const source = new std::stop_source;
  source->request_stop();
  return source;
}();

/// The end of a Lock that nobody wants to hear of.
void release_quietly(std::unique_ptr<engine::Hold> hold) noexcept {
  try {
    hold->release();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the lease ends by itself
  }
}

}  // namespace

Lock::Lock(std::unique_ptr<engine::Hold> hold) noexcept : hold_{std::move(hold)} {}

Lock::Lock(Lock&& other) noexcept = default;

Lock& Lock::operator=(Lock&& other) noexcept {
  if (this == &other) return *this;
  if (hold_) release_quietly(std::move(hold_));
  hold_ = std::move(other.hold_);
  return *this;
}

Lock::~Lock() {
  if (hold_) release_quietly(std::move(hold_));
}

const std::string& Lock::key() const noexcept { return hold_ ? hold_->key() : nothing; }

const std::string& Lock::value() const noexcept { return hold_ ? hold_->value() : nothing; }

bool Lock::owns_lock() const noexcept {
  return hold_ && protocol::time_left(hold_->valid_until(), engine::now()) > std::chrono::milliseconds{0};
}

std::chrono::milliseconds Lock::valid_for() const noexcept {
  return hold_ ? protocol::time_left(hold_->confirmed_until(), engine::now()) : std::chrono::milliseconds{0};
}

void Lock::release() {
  if (!hold_) throw MutexUnlockError{"cannot release: this Lock holds nothing"};
  const std::unique_ptr<engine::Hold> hold = std::move(hold_);
  hold->release();
}

void Lock::release_or_log() {
  const std::unique_ptr<engine::Hold> hold = std::move(hold_);
  hold->release_or_log();
}

void Lock::extend() {
  if (!hold_) throw MutexUnlockError{"cannot extend: this Lock holds nothing"};
  hold_->extend();
}

void Lock::extend(std::chrono::milliseconds expiry) {
  engine::check_expiry("extend: expiry", expiry);
  if (!hold_) throw MutexUnlockError{"cannot extend: this Lock holds nothing"};
  hold_->extend(expiry);
}

std::optional<std::uint64_t> Lock::fencing_token() const noexcept {
  return hold_ ? hold_->fencing_token() : std::nullopt;
}

std::stop_token Lock::lost_token() const noexcept {
  if (!hold_) return {};
  try {
    return hold_->loss();
  } catch (const std::exception& error) {  // no thread, no descriptor, no memory
    hold_->tell_unwatched(error);
    return already_stopped.get_token();
  }
}

}  // namespace redismutex
