#include "api/async_lock.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/printable.hpp>
#include <stop_token>
#include <string>
#include <utility>

#include "api/lock_access.hpp"
#include "api/quorum_lock.hpp"
#include "api/report.hpp"
#include "api/runtime.hpp"
#include "api/task.hpp"
#include "api/validate.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "engine/quorum/quorum_extending.hpp"
#include "engine/quorum/quorum_giving_back.hpp"
#include "protocol/lease.hpp"

namespace redismutex {
namespace {

using api::LockAccess;
using std::chrono::milliseconds;

const std::string no_text;

// ---- how a hold goes on, or ends ------------------------------------------------------------------------------------

/// What an operation needs of a lock that is held at what one Connection leads to, or was.
class HeldAtServer {
 public:
  using GivingBack = engine::GivingBack;
  using Extending = engine::Extending;

  explicit HeldAtServer(const Lock& lock) : parts_{LockAccess::parts(lock)} {}

  const std::shared_ptr<api::Runtime>& runtime() const noexcept { return parts_.runtime; }
  const std::string& server_name() const noexcept { return parts_.runtime->server_name(); }
  const protocol::Key& key() const noexcept { return parts_.lease->key(); }
  std::optional<Loss> lost() const noexcept { return parts_.lease->lost(); }
  protocol::Instant valid_here_until() const noexcept { return parts_.lease->valid_here_until(parts_.turn); }

  /// See engine::pass_on().
  bool pass_on() const noexcept { return engine::pass_on(parts_.runtime->session(), parts_.lease, parts_.ticket); }
  std::unique_ptr<GivingBack> giving_back(route::Waker& waker) const {
    return std::make_unique<GivingBack>(parts_.runtime->session(), parts_.lease, parts_.turn, parts_.ticket, &waker);
  }
  Extending extending(milliseconds expiry, route::Waker& waker) const {
    return {parts_.runtime->session(), parts_.lease, parts_.turn, {.expiry = expiry, .waker = &waker}};
  }
  void conclude(Extending& extending) const { LockAccess::conclude(parts_, extending); }

 private:
  LockAccess::Parts parts_;
};

/// The same of one at a quorum.
class HeldAtQuorum {
 public:
  using GivingBack = engine::QuorumGivingBack;
  using Extending = engine::QuorumExtending;

  explicit HeldAtQuorum(const Lock& lock) : lock_{LockAccess::quorum(lock)} {}

  const std::shared_ptr<api::Runtime>& runtime() const noexcept { return lock_->runtime(); }
  const std::string& server_name() const noexcept { return lock_->server_name(); }
  const protocol::Key& key() const noexcept { return lock_->lease().key(); }
  std::optional<Loss> lost() const noexcept { return lock_->lease().lost(); }
  protocol::Instant valid_here_until() const noexcept { return lock_->lease().valid_here_until(); }

  bool pass_on() const noexcept { return false; }
  std::unique_ptr<GivingBack> giving_back(route::Waker& waker) const {
    return std::make_unique<GivingBack>(lock_->lease_owner(), waker);
  }
  Extending extending(milliseconds expiry, route::Waker& waker) const {
    return {lock_->lease_owner(), {.expiry = expiry}, waker};
  }
  void conclude(Extending& extending) const { lock_->conclude(extending); }

 private:
  std::shared_ptr<api::QuorumLock> lock_;
};

/// An Operation on a lock, of the kind for where that is held.
template <template <class> class What, class T, class... Given>
Operation<T> operation(const Lock& lock, Given&&... given) {
  if (LockAccess::quorum(lock)) {
    return Operation<T>{std::make_shared<What<HeldAtQuorum>>(HeldAtQuorum{lock}, std::forward<Given>(given)...)};
  }
  return Operation<T>{std::make_shared<What<HeldAtServer>>(HeldAtServer{lock}, std::forward<Given>(given)...)};
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// An end of a hold. What is never started happens all the same, without anybody who is told.
template <class Held>
class Releasing final : public api::DrivenTask<void> {
 public:
  Releasing(Held held, Lock& lock, Executor executor)
      : DrivenTask{held.runtime(), std::move(executor)},
        held_{std::move(held)},
        lock_{std::move(lock)},
        began_{LockAccess::began_at(lock_)} {}

  ~Releasing() override {
    if (!giving_ && !passed_) LockAccess::give_back(lock_, is_told_);
    LockAccess::forget(lock_);
  }

 private:
  void begin() override {
    passed_ = held_.pass_on();
    if (passed_) return settle();
    giving_ = held_.giving_back(*this);
    begin_loop_use();
    drive();
  }

  route::Procedure& procedure() noexcept override { return *giving_; }

  void result() override {
    if (giving_ && !failure()) {
      if (const auto loss = giving_->take_loss()) loss->run();
    }
    conclude();
  }

  void conclude() {
    is_told_ = true;
    if (passed_) return LockAccess::conclude(lock_, engine::GivingBack::Passed{}, began_);
    if (const auto& why = failure()) return LockAccess::conclude(lock_, engine::NoAnswer{*why}, began_);
    LockAccess::conclude(lock_, giving_->outcome(), began_);
  }

  /// The log and the Observer are told all the same, and who waits for the loss.
  void note_abandoned() noexcept override {
    try {
      if (giving_ && !failure()) {
        if (const auto loss = giving_->take_loss()) loss->run();
      }
      conclude();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): nobody wants to know
    }
  }

  const Held held_;
  Lock lock_;
  const std::chrono::nanoseconds began_;
  bool is_told_ = false;                               // of the end
  bool passed_ = false;                                // within the process, without further ado
  std::unique_ptr<typename Held::GivingBack> giving_;  // else: it is large
};

// ---- the lease ------------------------------------------------------------------------------------------------------

template <class Held>
class Extending final : public api::DrivenTask<milliseconds> {
 public:
  Extending(Held held, milliseconds expiry, Executor executor)
      : DrivenTask{held.runtime(), std::move(executor)},
        held_{std::move(held)},
        extending_{held_.extending(expiry, *this)} {}

 private:
  void begin() override {
    begin_loop_use();
    drive();
  }
  route::Procedure& procedure() noexcept override { return extending_; }

  milliseconds result() override {
    if (const auto& why = failure()) api::report::raise(held_.server_name(), {"extend", held_.key()}, *why);
    held_.conclude(extending_);
    return protocol::time_left(held_.valid_here_until(), runtime().session().now());
  }

  const Held held_;
  typename Held::Extending extending_;
};

// ---- loss -----------------------------------------------------------------------------------------------------------

template <class Held>
class Losing final : public api::Task<Loss> {
 public:
  Losing(Held held, std::stop_token lost, std::stop_token ended, std::stop_token stop, Executor executor)
      : Task{held.runtime(), std::move(executor)},
        held_{std::move(held)},
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
    if (lost_.stop_requested()) return held_.lost().value_or(Loss::expired);
    throw LockCancelled{api::report::cannot(held_.server_name(), {"lose", held_.key()},
                                            "it was given back, or nobody wants to know any more")};
  }

  const Held held_;
  const std::stop_token lost_;
  const struct {
    std::stop_token ended, stop;
  } tokens_;
  std::optional<std::stop_callback<Settler>> on_loss_, on_end_, on_stop_;
};

}  // namespace

// ---- AsyncLock ------------------------------------------------------------------------------------------------------

namespace {

/// Empties an AsyncLock when it goes.
struct Empties {
  std::optional<Lock>& lock;
  explicit Empties(std::optional<Lock>& which) noexcept : lock{which} {}
  Empties(const Empties&) = delete;
  Empties& operator=(const Empties&) = delete;
  ~Empties() {
    LockAccess::forget(*lock);
    lock.reset();
  }
};

}  // namespace

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

const std::string& AsyncLock::key() const noexcept { return lock_ ? lock_->key() : no_text; }

const std::string& AsyncLock::value() const noexcept { return lock_ ? lock_->value() : no_text; }

std::optional<std::uint64_t> AsyncLock::fencing_token() const noexcept {
  return lock_ ? lock_->fencing_token() : std::nullopt;
}

std::stop_token AsyncLock::lost_token() const noexcept { return lock_ ? lock_->lost_token() : std::stop_token{}; }

milliseconds AsyncLock::valid_for() const noexcept { return lock_ ? LockAccess::valid_for(*lock_) : milliseconds{0}; }

Operation<void> AsyncLock::release() {
  if (!lock_) throw MutexUnlockError{"cannot release: this AsyncLock holds nothing"};
  if (LockAccess::is_inherited(*lock_)) {
    const Empties empties{lock_};
    LockAccess::check_release(*lock_);  // throws
  }
  auto releasing = operation<Releasing, void>(*lock_, *lock_, executor_);
  lock_.reset();
  ended_.request_stop();
  return releasing;
}

Operation<milliseconds> AsyncLock::extend() {
  if (!lock_) throw MutexUnlockError{"cannot extend: this AsyncLock holds nothing"};
  return extend(LockAccess::expiry(*lock_));
}

Operation<milliseconds> AsyncLock::extend(milliseconds expiry) {
  if (!lock_) throw MutexUnlockError{"cannot extend: this AsyncLock holds nothing"};
  api::check_expiry("extend: expiry", expiry);
  LockAccess::check_extension(*lock_);
  return operation<Extending, milliseconds>(*lock_, expiry, executor_);
}

Operation<Loss> AsyncLock::lost(std::stop_token stop) const {
  if (!lock_) throw MutexUnlockError{"cannot lose: this AsyncLock holds nothing"};
  if (LockAccess::is_inherited(*lock_)) {
    throw MutexUnlockError{"cannot watch lock '" + printable(lock_->key()) + "': it is held by the parent process"};
  }
  if (!ended_.stop_possible()) ended_ = std::stop_source{};
  return operation<Losing, Loss>(*lock_, lock_->lost_token(), ended_.get_token(), std::move(stop), executor_);
}

/// Nobody is told how it went but the log and the Observer: so that happens also where the loop does not run any more.
void AsyncLock::let_go() noexcept {
  if (!lock_) return;
  if (LockAccess::is_inherited(*lock_)) {  // it is the parent's, and so are the threads that would release it
    const Empties empties{lock_};
    return LockAccess::give_back(*lock_, false);
  }
  try {
    executor_ = Executor{};
    release().start([](const Outcome<void>& /*outcome*/) {});
  } catch (const std::exception&) {  // no memory, or no thread
    if (!lock_) return;              // what was to release it has taken care of that
    const Empties empties{lock_};
    LockAccess::give_back(*lock_, false);
  }
}

}  // namespace redismutex
