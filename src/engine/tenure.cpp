#include "engine/tenure.hpp"

#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/session.hpp"
#include "net/fork.hpp"

namespace redismutex::engine {

using protocol::Extend;
using protocol::Instant;

Tenure::Tenure(Session& session, std::unique_ptr<Lease>&& lease, std::optional<LocalQueues::Ticket> ticket)
    : session_{session},
      key_{lease->key()},
      id_{lease->id()},
      token_{lease->token()},
      ticket_{std::move(ticket)},
      began_{now()},
      lease_{std::move(lease)} {}

Tenure::~Tenure() = default;

Instant Tenure::valid_until() {
  const std::lock_guard lock{mutex_};
  settle();
  return lease_ ? lease_->valid_until() : Instant{};
}

bool Tenure::is_claim() {
  const std::lock_guard lock{mutex_};
  settle();
  return lease_ && lease_->is_claim();
}

void Tenure::confirm() {
  const std::lock_guard lock{mutex_};
  if (lease_) lease_->confirm(tracking());
}

// ---- extension ------------------------------------------------------------------------------------------------------

std::optional<Instant> Tenure::begin_extension(const Extend::Terms& terms) {
  const std::lock_guard lock{mutex_};
  if (!lease_) return std::nullopt;
  const Instant old_until = lease_->begin_extension(terms);
  if (timer_) watch_the_end();  // it may come sooner now
  return old_until;
}

void Tenure::conclude_extension(const Extend& machine) {
  const std::lock_guard lock{mutex_};
  if (!lease_) return;
  gone_ = gone_ || std::holds_alternative<Extend::Gone>(machine.outcome());
  lease_->conclude_extension(machine);
  note_extension();
}

void Tenure::conclude_renewal(std::chrono::milliseconds expiry, const Extend::Extended& extended) {
  const std::lock_guard lock{mutex_};
  if (!lease_) return;
  lease_->conclude_renewal(expiry, extended);
  note_extension();
}

void Tenure::note_gone() {
  const std::lock_guard lock{mutex_};
  if (!lease_) return;
  gone_ = true;
  lease_->note_gone();
  note_extension();
}

/// With the lock held.
void Tenure::settle() {
  if (lease_ && lease_->settle()) note_extension();
}

/// With the lock held: whoever counts on the end of the lease hears of the new one.
void Tenure::note_extension() {
  if (timer_) watch_the_end();
  if (ticket_) LocalQueues::note_until(*ticket_, lease_->valid_until());
}

// ---- the end --------------------------------------------------------------------------------------------------------

void Tenure::look_after(const Caretaker::Care& care) {
  const std::lock_guard lock{mutex_};
  if (lease_ && !care_) care_ = session_.caretaker().take(shared_from_this(), care);
}

protocol::Tracking Tenure::extension_tracking() {
  const std::lock_guard lock{mutex_};
  return tracking();
}

std::unique_ptr<Lease> Tenure::end() {
  const std::lock_guard lock{mutex_};
  if (care_) session_.caretaker().forget(*std::exchange(care_, std::nullopt));
  if (timer_) session_.timers().cancel(*std::exchange(timer_, std::nullopt));
  return std::move(lease_);
}

std::stop_token Tenure::lost_token() {
  const std::lock_guard lock{mutex_};
  if (!lost_source_.stop_possible()) {
    lost_source_ = std::stop_source{};
    if (lost_) lost_source_.request_stop();  // nobody can have registered a callback yet
    if (lease_) watch_the_end();
  }
  return lost_source_.get_token();
}

/// With the lock held: tell of the loss when the lease as it is now ends.
void Tenure::watch_the_end() {
  if (timer_) session_.timers().cancel(*timer_);
  timer_ = session_.timers().schedule(lease_->valid_until(), [watched = weak_from_this()]() -> std::optional<Instant> {
    const std::shared_ptr<Tenure> tenure = watched.lock();
    return tenure ? tenure->look_for_loss() : std::nullopt;
  });
}

std::optional<Instant> Tenure::look_for_loss() {
  const Instant until = valid_until();
  if (now() < until) return until;
  lose();
  return std::nullopt;
}

void Tenure::lose() {
  std::unique_lock lock{mutex_};
  if (lease_) tell(std::move(lock));
}

void Tenure::was_gone() {
  std::unique_lock lock{mutex_};
  gone_ = true;
  tell(std::move(lock));
}

void Tenure::tell(std::unique_lock<std::mutex> lock) {
  if (std::exchange(lost_, true)) return;
  std::stop_source source = lost_source_;
  const Loss why = gone_ ? Loss::gone : Loss::expired;
  lock.unlock();
  source.request_stop();
  if (Observer* observer = session_.observer()) observer->lost(key_.text(), why);
}

void Tenure::abandon() noexcept { net::leave_alone(shared_from_this()); }

}  // namespace redismutex::engine
