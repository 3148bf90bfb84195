#include "faults/server_clock.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <system_error>

#include "support/posix.hpp"

namespace redismutex::faults {

ServerClock::ServerClock(const std::string& path) : path_{path} {
  constexpr std::size_t size = sizeof(std::atomic<std::int64_t>);
  const testing::Descriptor file{testing::checked(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open")};
  testing::checked(::ftruncate(file.get(), size), "ftruncate");
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  offset_us_ = static_cast<std::atomic<std::int64_t>*>(mapped);
}

ServerClock::~ServerClock() { ::munmap(offset_us_, sizeof(std::atomic<std::int64_t>)); }

std::vector<std::string> ServerClock::environment() const {
  return {std::string{"LD_PRELOAD="} + REDISMUTEX_CLOCK_SHIM, "REDISMUTEX_TEST_CLOCK=" + path_};
}

}  // namespace redismutex::faults
