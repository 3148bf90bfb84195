#include "faults/register.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>

#include "support/posix.hpp"

namespace redismutex::faults {

struct Register::Page {
  std::array<std::atomic<std::uint64_t>, most_keys> highest;
  std::atomic<std::uint64_t> balanced;
  std::atomic<bool> stop;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// A new file is all zeroes, which is what these atomics are before their first write.
Register::Register(const std::string& path) {
  const testing::Descriptor file{testing::checked(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open")};
  testing::checked(::ftruncate(file.get(), sizeof(Page)), "ftruncate");
  void* mapped = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  page_ = static_cast<Page*>(mapped);
}

Register::~Register() { ::munmap(page_, sizeof(Page)); }

bool Register::write(std::size_t key, std::uint64_t token) noexcept {
  std::atomic<std::uint64_t>& highest = page_->highest[key];
  std::uint64_t seen = highest;
  while (token >= seen) {
    if (highest.compare_exchange_weak(seen, token)) return true;
  }
  return false;
}

void Register::note_balance() noexcept { ++page_->balanced; }

std::uint64_t Register::balanced() const noexcept { return page_->balanced; }

void Register::ask_to_stop() noexcept { page_->stop = true; }

bool Register::asked_to_stop() const noexcept { return page_->stop; }

}  // namespace redismutex::faults
