#include "lock_news.hpp"

#include <new>
#include <utility>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

// Who is there for so long is there.
constexpr auto proves_itself = 1s;

/// For people, without the place in our script.
std::string plain_reason(std::string_view reason) {
  if (reason.starts_with("READONLY")) return "it is a replica, which takes no locks";
  return std::string{reason.substr(0, reason.find(" script: "))};
}

/// As people read it: "3.1 s".
std::string in_tenths_of_seconds(std::chrono::milliseconds duration) {
  const auto tenths = (duration.count() + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

std::string LockNews::why_stopping(const Lock& lock, bool is_lost, std::chrono::milliseconds unrenewed) const {
  if (!is_lost) {
    const std::lock_guard guard{mutex_};
    return "could not be renewed for " + in_tenths_of_seconds(unrenewed) + " (" + whom_ + ": " +
           (renewal_trouble_.empty() ? "no answer yet" : renewal_trouble_) + ")";
  }
  const auto why = lock.loss();
  if (!why) return "was lost";
  return *why == Loss::gone ? "was lost (it was deleted, broken, or taken by another owner)"
                            : "was lost (its lease has ended)";
}

std::string LockNews::waiters_id() const {
  const std::lock_guard guard{mutex_};
  return waiters_id_;
}

std::optional<LockNews::Absence> LockNews::absence() const {
  const std::lock_guard guard{mutex_};
  return absence_;
}

bool LockNews::is_settled() const {
  const std::lock_guard guard{mutex_};
  return absence_ || !before_ || BootClock::now() - back_at_ >= proves_itself;
}

void LockNews::wait_began(const WaitBegan& event) noexcept try {
  const std::lock_guard guard{mutex_};
  waiters_id_ = event.value;
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then the place in line is not told
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
  if (!are_enough() || !absence_) return;
  before_ = std::exchange(absence_, std::nullopt);
  back_at_ = BootClock::now();
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then it counts as away
}

void LockNews::connect_failed(const ConnectFailed& event) noexcept { note_absence(event.server, event.reason); }

void LockNews::disconnected(const Disconnected& event) noexcept { note_absence(event.server, event.reason); }

void LockNews::note_absence(std::string_view server, std::string_view reason) noexcept try {
  const std::lock_guard guard{mutex_};
  if (const auto known = present_.find(voter(server)); known != present_.end()) present_.erase(known);
  if (are_enough()) return;
  const auto now = BootClock::now();
  const bool was_back = before_ && now - back_at_ >= proves_itself;
  if (!absence_) absence_ = {before_ && !was_back ? before_->since : now, {}};
  absence_->reason =
      servers_ == 1 ? plain_reason(reason) : std::string{server}.append(": ").append(plain_reason(reason));
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it is away all the same, for no reason known
}

}  // namespace redismutex::cli
