#include "engine/bell.hpp"

#include <sched.h>

#include "net/futex.hpp"

namespace redismutex::engine {
namespace {

// So often a thread lets others run before it sleeps: some microseconds. Where a lock goes from hand to hand as fast, its turn
// comes meanwhile, or the processor, which has not fallen idle, goes on with the one whose turn it is.
constexpr int yields_before_sleep = 8;

}  // namespace

const std::atomic<std::uint32_t>* Bell::ring(Ring how) noexcept {
  // Nothing but the address is used once it is rung, because then the bell may be gone.
  const std::atomic<std::uint32_t>* const word = &state_;
  const std::uint32_t before = state_.fetch_or(how == Ring::for_good ? rung_for_good : rung);
  return before == asleep ? word : nullptr;
}

void Bell::ring_and_wake() noexcept {
  if (const auto* sleeper = ring()) net::futex_wake_one(sleeper);
}

bool Bell::sleep(net::Deadline deadline) noexcept {
  for (int i = 0; i < yields_before_sleep && state_ == quiet; ++i) ::sched_yield();
  std::uint32_t expected = quiet;
  if (state_.compare_exchange_strong(expected, asleep)) {
    while (state_ == asleep && net::futex_wait(state_, asleep, deadline)) {
    }
  }
  return (state_.fetch_and(rung_for_good) & rung_for_good) != 0;
}

Wakeups::~Wakeups() {
  for (std::size_t i = 0; i < count_; ++i) net::futex_wake_one(sleepers_[i]);
}

void Wakeups::add(Bell& bell, Bell::Ring how) noexcept {
  if (const auto* sleeper = bell.ring(how)) sleepers_[count_++] = sleeper;
}

}  // namespace redismutex::engine
