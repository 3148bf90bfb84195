#include "support/exclusion_witness.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>

namespace redismutex::testing {

struct ExclusionWitness::Counts {
  std::atomic<int> inside = 0;
  std::atomic<int> most_inside = 0;
  std::atomic<long> entries = 0;
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<long>::is_always_lock_free,
              "a lock inside an atomic would not be shared between processes");

ExclusionWitness::ExclusionWitness() {
  void* memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  counts_ = new (memory) Counts;
}

ExclusionWitness::~ExclusionWitness() { ::munmap(counts_, sizeof(Counts)); }

void ExclusionWitness::enter() noexcept {
  const int now_inside = ++counts_->inside;
  int most = counts_->most_inside;
  while (most < now_inside && !counts_->most_inside.compare_exchange_weak(most, now_inside)) {
  }
  ++counts_->entries;
}

void ExclusionWitness::leave() noexcept { --counts_->inside; }

int ExclusionWitness::inside() const noexcept { return counts_->inside; }
int ExclusionWitness::most_inside() const noexcept { return counts_->most_inside; }
long ExclusionWitness::entries() const noexcept { return counts_->entries; }

}  // namespace redismutex::testing
