#include "net/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <limits>

namespace redismutex::net {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(any_futex_bit == FUTEX_BITSET_MATCH_ANY);

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline,
                std::uint32_t bits) noexcept {
  // FUTEX_WAIT_BITSET, because its limit is a point on the clock of `deadline` where that of FUTEX_WAIT is a duration.
  const auto at = std::max(deadline.time_since_epoch(), Deadline::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const timespec until{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds{at - seconds}.count()};
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, &until, nullptr, bits);
  return result == 0 || errno != ETIMEDOUT;
}

void futex_wake_one(const std::atomic<std::uint32_t>* word) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void futex_wake_all(const std::atomic<std::uint32_t>* word, std::uint32_t bits) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE_BITSET, std::numeric_limits<int>::max(), nullptr, nullptr, bits);
}

}  // namespace redismutex::net
