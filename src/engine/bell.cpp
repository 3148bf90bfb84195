#include "engine/bell.hpp"

#include "net/futex.hpp"

namespace redismutex::engine {

const std::atomic<std::uint32_t>* Bell::ring() noexcept {
  // Nothing but the address is used behind the exchange, after which the bell may be gone.
  const std::atomic<std::uint32_t>* const word = &state_;
  return state_.exchange(rung) == asleep ? word : nullptr;
}

void Bell::ring_and_wake() noexcept {
  if (const auto* sleeper = ring()) net::futex_wake_one(sleeper);
}

void Bell::sleep(net::Deadline deadline) noexcept {
  std::uint32_t expected = quiet;
  if (state_.compare_exchange_strong(expected, asleep)) {
    while (state_ == asleep && net::futex_wait(state_, asleep, deadline)) {
    }
  }
  state_ = quiet;
}

Wakeups::~Wakeups() {
  for (std::size_t i = 0; i < count_; ++i) net::futex_wake_one(sleepers_[i]);
}

void Wakeups::add(Bell& bell) noexcept {
  if (const auto* sleeper = bell.ring()) sleepers_[count_++] = sleeper;
}

}  // namespace redismutex::engine
