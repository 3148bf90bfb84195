#include "lock_news.hpp"

#include <new>

namespace redismutex::cli {

std::string LockNews::why_lost() const {
  const std::lock_guard guard{mutex_};
  if (!why_lost_) return {};
  return *why_lost_ == Loss::gone ? "it was deleted, broken, or taken by another owner" : "its lease has ended";
}

std::string LockNews::renewal_trouble() const {
  const std::lock_guard guard{mutex_};
  return renewal_trouble_;
}

std::string LockNews::waiters_id() const {
  const std::lock_guard guard{mutex_};
  return waiters_id_;
}

std::optional<LockNews::Absence> LockNews::absence() const {
  const std::lock_guard guard{mutex_};
  return absence_;
}

void LockNews::wait_began(const WaitBegan& event) noexcept try {
  const std::lock_guard guard{mutex_};
  waiters_id_ = event.value;
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the place in line is not told
}

void LockNews::lock_lost(const LockLost& event) noexcept {
  const std::lock_guard guard{mutex_};
  why_lost_ = event.why;
}

void LockNews::lease_renewed(const LeaseRenewed& /*event*/) noexcept {
  const std::lock_guard guard{mutex_};
  renewal_trouble_.clear();
}

void LockNews::renewal_failed(const RenewalFailed& event) noexcept try {
  const std::lock_guard guard{mutex_};
  renewal_trouble_ = event.reason;
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then no reason is told
}

void LockNews::connected(const Connected& event) noexcept try {
  const std::lock_guard guard{mutex_};
  present_.emplace(voter(event.server));
  if (are_enough()) absence_.reset();
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it counts as away
}

void LockNews::connect_failed(const ConnectFailed& event) noexcept { note_absence(event.server, event.reason); }

void LockNews::disconnected(const Disconnected& event) noexcept { note_absence(event.server, event.reason); }

void LockNews::note_absence(std::string_view server, std::string_view reason) noexcept try {
  const std::lock_guard guard{mutex_};
  if (const auto known = present_.find(voter(server)); known != present_.end()) present_.erase(known);
  if (are_enough()) return;
  if (!absence_) absence_ = {BootClock::now(), {}};
  absence_->reason = servers_ == 1 ? std::string{reason} : std::string{server}.append(": ").append(reason);
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it is away all the same, for no reason known
}

}  // namespace redismutex::cli
