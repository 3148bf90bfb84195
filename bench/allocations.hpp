#pragma once

#include <cstdint>

namespace redismutex::bench {

/// Counts the calls of malloc, calloc and realloc (and so of operator new) in all threads of this process while it lives.
/// One at a time.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  std::uint64_t so_far() const;
};

}  // namespace redismutex::bench
