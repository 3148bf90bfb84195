#include "allocations.hpp"

#include <atomic>
#include <cstddef>

namespace {

constinit std::atomic<bool> counting{false};
constinit std::atomic<std::uint64_t> count{0};

void note() {
  if (counting.load(std::memory_order_relaxed)) count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// The C library's own, under the names it has for this. A program's definitions come before those of any library.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t number, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);

void* malloc(std::size_t size) {
  note();
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) {
  note();
  return __libc_calloc(number, size);
}
void* realloc(void* old, std::size_t size) {
  note();
  return __libc_realloc(old, size);
}
}

namespace redismutex::bench {

AllocationCount::AllocationCount() {
  count = 0;
  counting = true;
}
AllocationCount::~AllocationCount() { counting = false; }

std::uint64_t AllocationCount::so_far() const { return count; }

}  // namespace redismutex::bench
