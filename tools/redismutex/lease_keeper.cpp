#include "lease_keeper.hpp"

#include <functional>
#include <redismutex/errors.hpp>
#include <utility>

namespace redismutex::cli {

void publish_lease(LeasePage& page, const Lock& lock, LeaseTiming timing) noexcept {
  const auto now = BootClock::now();  // before it is asked what is left: rather too early than too late
  const auto ends_at = now + lock.valid_for();
  page.set_kill_at(ends_at - timing.kill_margin());
  page.set_stop_at(ends_at - timing.stop_margin());
}

LeaseKeeper::LeaseKeeper(Lock& lock, LeaseTiming timing, LeasePage& page)
    : lock_{lock}, timing_{timing}, page_{page}, thread_{[this](const std::stop_token& stop) { keep(stop); }} {}

std::string LeaseKeeper::last_failure() const {
  const std::lock_guard guard{mutex_};
  return last_failure_;
}

void LeaseKeeper::keep(const std::stop_token& stop) {
  // The library may know of a loss before the next renewal would.
  const std::stop_callback told{lock_.lost_token(), [this] { note_loss(); }};
  // Less than a whole period if the start was slow.
  auto pause = lock_.valid_for() - (timing_.expiry - timing_.renew_every());
  while (true) {
    std::unique_lock guard{mutex_};
    stopped_.wait_for(guard, stop, pause, [] { return false; });
    guard.unlock();
    if (stop.stop_requested() || lost()) return;
    pause = renew();
  }
}

/// One attempt; returns how long to wait for the next.
std::chrono::milliseconds LeaseKeeper::renew() {
  try {
    lock_.extend();
    publish_lease(page_, lock_, timing_);
    note_failure({});
    return timing_.renew_every();
  } catch (const MutexUnlockError& error) {
    note_failure(error.what());
    note_loss();
  } catch (const std::exception& error) {
    note_failure(error.what());
  }
  return timing_.retry_every();
}

void LeaseKeeper::note_failure(std::string what) {
  const std::lock_guard guard{mutex_};
  last_failure_ = std::move(what);
}

void LeaseKeeper::note_loss() noexcept {
  lost_ = true;
  loss_.raise();
}

}  // namespace redismutex::cli
