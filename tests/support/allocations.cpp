#include "support/allocations.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace redismutex::testing {
namespace {

thread_local std::uint64_t count = 0;

void* allocate(std::size_t size) {
  ++count;
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc{};
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}

}  // namespace

thread_local int allocations_left = -1;

std::uint64_t allocations() noexcept { return count; }

}  // namespace redismutex::testing

// A program's definitions come before those of any library. All other forms of both end in these.

void* operator new(std::size_t size) { return redismutex::testing::allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
