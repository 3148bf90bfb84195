#include "support/allocations.hpp"

#include <pthread.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <shared_mutex>

#include "support/sanitizers.hpp"

namespace redismutex::testing {
namespace {

thread_local std::uint64_t count = 0;

/// The address sanitizer's allocator, unlike glibc's, does not prepare for a fork: a child finds it locked for good if another thread
/// was in the middle of it. So a fork waits until none is; without that sanitizer the gate is not there.
class Gate {
 public:
  Gate() { reset(); }
  void close() { ::pthread_rwlock_wrlock(&lock_); }
  void open() { ::pthread_rwlock_unlock(&lock_); }
  void reset() { ::pthread_rwlock_init(&lock_, nullptr); }  // in a child, without those who wait in the parent
  void lock_shared() {
    if constexpr (under_address_sanitizer) ::pthread_rwlock_rdlock(&lock_);
  }
  void unlock_shared() {
    if constexpr (under_address_sanitizer) ::pthread_rwlock_unlock(&lock_);
  }

 private:
  pthread_rwlock_t lock_;
};

Gate& gate() {
  alignas(Gate) static unsigned char memory[sizeof(Gate)];  // outlives what other destructors free
  static Gate& instance = *::new (memory) Gate;
  return instance;
}

/// The first to be asked for, so the last to close before a fork and the first to open after it: handlers of others may allocate.
[[gnu::constructor(101)]] void watch_forks() {
  if constexpr (!under_address_sanitizer) return;
  ::pthread_atfork([] { gate().close(); }, [] { gate().open(); }, [] { gate().reset(); });
}

void* allocate(std::size_t size) {
  ++count;
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc{};
  const std::shared_lock passing{gate()};
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}

void release(void* memory) noexcept {
  const std::shared_lock passing{gate()};
  std::free(memory);
}

}  // namespace

thread_local int allocations_left = -1;

std::uint64_t allocations() noexcept { return count; }

}  // namespace redismutex::testing

// A program's definitions come before those of any library. All other forms of both end in these.

void* operator new(std::size_t size) { return redismutex::testing::allocate(size); }
void operator delete(void* memory) noexcept { redismutex::testing::release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { redismutex::testing::release(memory); }
