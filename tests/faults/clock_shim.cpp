// Loaded into a server with LD_PRELOAD: its wall clock is set off by as many microseconds as the file
// $REDISMUTEX_TEST_CLOCK says, which the test maps too. Its monotonic clock, and everything else, is the system's.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

using Offset = std::atomic<std::int64_t>;

Offset* map_offset() noexcept {
  static Offset none{0};
  const char* path = std::getenv("REDISMUTEX_TEST_CLOCK");
  const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return &none;
  void* mapped = ::mmap(nullptr, sizeof(Offset), PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  return mapped == MAP_FAILED ? &none : static_cast<Offset*>(mapped);
}

std::int64_t offset_us() noexcept {
  static Offset* const offset = map_offset();
  return *offset;
}

bool is_wall_clock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (result != 0 || !is_wall_clock(clock)) return result;
  const std::int64_t us = time->tv_sec * 1'000'000 + time->tv_nsec / 1000 + offset_us();
  const std::int64_t rest_ns = time->tv_nsec % 1000;
  time->tv_sec = us / 1'000'000;
  time->tv_nsec = us % 1'000'000 * 1000 + rest_ns;
  return 0;
}

int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  timespec precise{};
  const int result = clock_gettime(CLOCK_REALTIME, &precise);
  *time = {.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
  return result;
}

time_t time(time_t* where) noexcept {
  timespec precise{};
  clock_gettime(CLOCK_REALTIME, &precise);
  if (where != nullptr) *where = precise.tv_sec;
  return precise.tv_sec;
}

}  // extern "C"
