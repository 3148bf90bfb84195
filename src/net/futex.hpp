#pragma once

#include <atomic>
#include <cstdint>

#include "net/poll.hpp"

/// Sleeping on a word of memory, which is all that a condition variable and its mutex come down to. Only for a word that
/// says by itself why to wake: then there is no second lock for the one who is woken to run into.
///
/// The kernel finds the sleepers in the table that all processes share. Since Linux 6.16 a process has one of its own, which is faster
/// by 50 ns a call, but has some sixteen chains only: where ten thousand threads sleep, to wake one goes through hundreds of others,
/// and takes 300 µs. The shared one has 256 chains for each processor.
namespace redismutex::net {

/// Sleepers may tell themselves apart by bits, of which a waking names those that it is for.
constexpr std::uint32_t any_futex_bit = ~std::uint32_t{0};

/// Sleeps while `word` holds `expected`, until it is woken or the deadline passes; may also return for no reason. False at
/// the deadline.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline,
                std::uint32_t bits = any_futex_bit) noexcept;

/// Wakes one thread that sleeps on the word, which must have been changed before.
///
/// The word may be gone by now, and the memory may be something else's: only its address is used, to find who sleeps
/// there. At worst that is a stranger, which is woken for no reason; whoever sleeps on a futex, the C library included,
/// must be prepared for that (`man 2 futex`: "spurious wake-up") and looks at its word again.
void futex_wake_one(const std::atomic<std::uint32_t>* word) noexcept;

/// The same for all who sleep there with one of these bits.
void futex_wake_all(const std::atomic<std::uint32_t>* word, std::uint32_t bits) noexcept;

}  // namespace redismutex::net
