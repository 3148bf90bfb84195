#include "api/async_lock.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/errors.hpp>
#include <stop_token>
#include <string>
#include <utility>

#include "api/lock_access.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/task.hpp"
#include "api/validate.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "protocol/lease.hpp"

namespace redismutex {
namespace {

using api::LockAccess;
using std::chrono::milliseconds;

const std::string nothing;

// ---- the end --------------------------------------------------------------------------------------------------------

/// An end of a hold. What is never started happens all the same, without anybody who is told.
class Releasing final : public api::DrivenTask<void> {
 public:
  Releasing(Lock lock, Executor executor)
      : DrivenTask{LockAccess::parts(lock).runtime, std::move(executor)},
        lock_{std::move(lock)},
        began_{LockAccess::began_at(lock_)} {}

  ~Releasing() override {
    if (!giving_ && !passed_ && !LockAccess::is_inherited(lock_)) {
      const LockAccess::Parts parts = LockAccess::parts(lock_);
      engine::give_back(parts.runtime->session(), parts.lease, parts.turn, parts.ticket);
    }
    LockAccess::forget(lock_);
  }

 private:
  void begin() override {
    if (LockAccess::is_inherited(lock_)) return settle();
    const LockAccess::Parts parts = LockAccess::parts(lock_);
    passed_ = engine::pass_on(parts.runtime->session(), parts.lease, parts.ticket);
    if (passed_) return settle();
    giving_ = std::make_unique<engine::GivingBack>(parts.runtime->session(), parts.lease, parts.turn, parts.ticket,
                                                   static_cast<route::Waker*>(this));
    drive();
  }

  route::Procedure& procedure() noexcept override { return *giving_; }

  void result() override {
    LockAccess::check_release(lock_);
    if (passed_) return LockAccess::conclude(lock_, engine::GivingBack::Passed{}, began_);
    if (const auto& why = failure()) {
      return LockAccess::conclude(lock_, engine::NoAnswer{*why}, began_);
    }
    if (const auto loss = giving_->take_loss()) loss->run();
    LockAccess::conclude(lock_, giving_->outcome(), began_);
  }

  Lock lock_;
  const std::chrono::nanoseconds began_;
  bool passed_ = false;                         // within the process, without further ado
  std::unique_ptr<engine::GivingBack> giving_;  // else: it is large
};

// ---- the lease ------------------------------------------------------------------------------------------------------

class Extending final : public api::DrivenTask<milliseconds> {
 public:
  Extending(LockAccess::Parts parts, milliseconds expiry, Executor executor)
      : DrivenTask{parts.runtime, std::move(executor)},
        parts_{std::move(parts)},
        extending_{parts_.runtime->session(),
                   parts_.lease,
                   parts_.turn,
                   {.expiry = expiry, .waker = static_cast<route::Waker*>(this)}} {}

 private:
  void begin() override { drive(); }
  route::Procedure& procedure() noexcept override { return extending_; }

  milliseconds result() override {
    if (const auto& why = failure()) {
      api::report::raise(parts_.runtime->server_name(), {"extend", parts_.lease->key()}, *why);
    }
    LockAccess::conclude(parts_, extending_);
    return protocol::time_left(parts_.lease->valid_here_until(parts_.turn), parts_.runtime->session().now());
  }

  const LockAccess::Parts parts_;
  engine::Extending extending_;
};

// ---- loss -----------------------------------------------------------------------------------------------------------

class Losing final : public api::Task<Loss> {
 public:
  Losing(LockAccess::Parts parts, std::stop_token lost, std::stop_token ended, std::stop_token stop, Executor executor)
      : Task{parts.runtime, std::move(executor)},
        parts_{std::move(parts)},
        lost_{std::move(lost)},
        tokens_{std::move(ended), std::move(stop)} {}

 private:
  struct Settler {
    Losing* task;
    void operator()() const noexcept { task->settle(); }
  };

  void begin() override {
    on_loss_.emplace(lost_, Settler{this});
    on_end_.emplace(tokens_.ended, Settler{this});
    on_stop_.emplace(tokens_.stop, Settler{this});
  }

  void cancel() noexcept override { settle(); }

  Loss result() override {
    if (lost_.stop_requested()) return parts_.lease->lost().value_or(Loss::expired);
    throw LockCancelled{api::report::cannot(parts_.runtime->server_name(), {"lose", parts_.lease->key()},
                                            "it was given back, or nobody wants to know any more")};
  }

  const LockAccess::Parts parts_;
  const std::stop_token lost_;
  const struct {
    std::stop_token ended, stop;
  } tokens_;
  std::optional<std::stop_callback<Settler>> on_loss_, on_end_, on_stop_;
};

}  // namespace

// ---- AsyncLock ------------------------------------------------------------------------------------------------------

AsyncLock::AsyncLock(Lock lock, Executor executor) : lock_{std::move(lock)}, executor_{std::move(executor)} {}

AsyncLock::AsyncLock(AsyncLock&& other) noexcept
    : lock_{std::exchange(other.lock_, std::nullopt)},
      executor_{std::move(other.executor_)},
      ended_{std::exchange(other.ended_, std::stop_source{std::nostopstate})} {}

AsyncLock& AsyncLock::operator=(AsyncLock&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  lock_ = std::exchange(other.lock_, std::nullopt);
  executor_ = other.executor_;
  ended_ = std::exchange(other.ended_, std::stop_source{std::nostopstate});
  return *this;
}

AsyncLock::~AsyncLock() { let_go(); }

const std::string& AsyncLock::key() const noexcept { return lock_ ? lock_->key() : nothing; }

const std::string& AsyncLock::value() const noexcept { return lock_ ? lock_->value() : nothing; }

std::optional<std::uint64_t> AsyncLock::fencing_token() const noexcept {
  return lock_ ? lock_->fencing_token() : std::nullopt;
}

std::stop_token AsyncLock::lost_token() const noexcept { return lock_ ? lock_->lost_token() : std::stop_token{}; }

milliseconds AsyncLock::valid_for() const noexcept { return lock_ ? LockAccess::valid_for(*lock_) : milliseconds{0}; }

Operation<void> AsyncLock::release() {
  if (!lock_) throw MutexUnlockError{"cannot release: this AsyncLock holds nothing"};
  auto releasing = std::make_shared<Releasing>(std::move(*lock_), executor_);
  lock_.reset();
  ended_.request_stop();
  return Operation<void>{std::move(releasing)};
}

Operation<milliseconds> AsyncLock::extend() {
  if (!lock_) throw MutexUnlockError{"cannot extend: this AsyncLock holds nothing"};
  return extend(*LockAccess::parts(*lock_).options->expiry);
}

Operation<milliseconds> AsyncLock::extend(milliseconds expiry) {
  if (!lock_) throw MutexUnlockError{"cannot extend: this AsyncLock holds nothing"};
  api::check_expiry("extend: expiry", expiry);
  LockAccess::check_extension(*lock_);
  return Operation<milliseconds>{std::make_shared<Extending>(LockAccess::parts(*lock_), expiry, executor_)};
}

Operation<Loss> AsyncLock::lost(std::stop_token stop) const {
  if (!lock_) throw MutexUnlockError{"cannot lose: this AsyncLock holds nothing"};
  if (!ended_.stop_possible()) ended_ = std::stop_source{};
  return Operation<Loss>{std::make_shared<Losing>(LockAccess::parts(*lock_), lock_->lost_token(), ended_.get_token(),
                                                  std::move(stop), executor_)};
}

/// Nobody is told how it went but the log and the Observer: so that happens also where the loop does not run any more.
void AsyncLock::let_go() noexcept {
  if (!lock_) return;
  try {
    executor_ = Executor{};
    release().start([](const Outcome<void>& /*outcome*/) {});
  } catch (const std::bad_alloc&) {
    if (!lock_) return;  // what was to release it has taken care of that
    const LockAccess::Parts parts = LockAccess::parts(*lock_);
    if (!LockAccess::is_inherited(*lock_)) {
      engine::give_back(parts.runtime->session(), parts.lease, parts.turn, parts.ticket);
    }
    LockAccess::forget(*lock_);
    lock_.reset();
  }
}

}  // namespace redismutex
