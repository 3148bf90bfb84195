#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace redismutex::testing {

thread_local int allocations_left = -1;

}  // namespace redismutex::testing

// In place of the library's own. The other forms of new and delete come to these.

void* operator new(std::size_t size) {
  int& left = redismutex::testing::allocations_left;
  if (left >= 0 && left-- == 0) throw std::bad_alloc{};
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
