#include "route/sleeper.hpp"

#include <sched.h>

#include <optional>

#include "net/futex.hpp"

namespace redismutex::route {
namespace {

// So often a thread lets others run before it sleeps: some microseconds. Where a lock goes from hand to hand as fast, its turn
// comes meanwhile, or the processor, which has not fallen idle, goes on with the one whose turn it is.
constexpr int yields_before_sleep = 8;

void wake_at(const void* state) noexcept { net::futex_wake_one(static_cast<const std::atomic<std::uint32_t>*>(state)); }

}  // namespace

Waker::Rest Sleeper::begin_wake() noexcept {
  const std::uint32_t before = state_.exchange(news);
  if (before == asleep) return {wake_at, &state_};
  if (before == at_link) {
    const std::lock_guard lock{mutex_};
    if (link_ != nullptr) link_->set(*caller_);
  }
  return {};
}

void Sleeper::sleep(net::Deadline deadline, const std::stop_token& stop) {
  const auto on_stop = [this] { wake(); };
  std::optional<std::stop_callback<decltype(on_stop)>> registration;
  if (stop.stop_possible()) registration.emplace(stop, on_stop);
  for (int i = 0; i < yields_before_sleep && state_ == quiet; ++i) ::sched_yield();
  std::uint32_t expected = quiet;
  if (state_.compare_exchange_strong(expected, asleep)) {
    while (state_ == asleep && net::futex_wait(state_, asleep, deadline)) {
    }
  }
  state_ = quiet;
}

bool Sleeper::sleep_at(net::Link& link, net::Deadline deadline, const std::stop_token& stop) {
  net::Caller caller{net::Caller::Apart{}};
  {
    const std::lock_guard lock{mutex_};
    link_ = &link;
    caller_ = &caller;
  }
  std::uint32_t expected = quiet;
  net::Link::Waited waited = net::Link::Waited::done;
  if (state_.compare_exchange_strong(expected, at_link)) waited = link.wait(caller, deadline, stop);
  {
    const std::lock_guard lock{mutex_};
    link_ = nullptr;
    caller_ = nullptr;
  }
  state_ = quiet;
  return waited != net::Link::Waited::broken;
}

}  // namespace redismutex::route
