#include "net/event.hpp"

#include "net/futex.hpp"

namespace redismutex::net {

void Event::wake(State why) noexcept {
  // Nothing but the address is used behind the first line, after which the event may be gone.
  const std::atomic<std::uint32_t>* word = &state_;
  if ((state_.fetch_or(why) & asleep) != 0) futex_wake_one(word);
}

void Event::sleep(Deadline deadline) noexcept {
  // To sleep on "asleep and nothing else" means to wake for anything else.
  for (std::uint32_t seen = state_.load(); (seen & ~asleep) == 0; seen = state_.load()) {
    if ((seen & asleep) == 0 && !state_.compare_exchange_weak(seen, asleep)) continue;
    if (!futex_wait(state_, asleep, deadline)) return;
  }
}

void Event::await_set() noexcept {
  for (std::uint32_t seen = state_.load(); (seen & was_set) == 0; seen = state_.load()) {
    if ((seen & asleep) == 0 && !state_.compare_exchange_weak(seen, seen | asleep)) continue;
    futex_wait(state_, seen | asleep, Deadline::max());
  }
}

}  // namespace redismutex::net
