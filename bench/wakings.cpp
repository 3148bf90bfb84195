#include "wakings.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <thread>

#include "support/posix.hpp"
#include "waiters.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t stack_size = 128 * 1024;

/// Not the process's own table of sleepers, which is slow with so many.
void sleep_on(const std::atomic<std::uint32_t>& word) { ::syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr); }
void wake_one(const std::atomic<std::uint32_t>& word) { ::syscall(SYS_futex, &word, FUTEX_WAKE, 1); }

struct alignas(64) Sleeper {
  std::atomic<std::uint32_t> told{0};
  std::atomic<int>* awake;
};

void* sleep_until_told(void* argument) {
  Sleeper& self = *static_cast<Sleeper*>(argument);
  ++*self.awake;
  while (self.told == 0) sleep_on(self.told);
  ++*self.awake;
  for (;;) ::pause();
}

void wait_for(const std::atomic<int>& count, int wanted) {
  while (count < wanted) std::this_thread::sleep_for(50us);
}

}  // namespace

double measure_wakings(int threads, int wakings) {
  // Both stay, as the threads do: to the very end of the process.
  static std::atomic<int> awake{0};
  static auto& sleepers = *new std::deque<Sleeper>;
  pthread_attr_t small{};
  testing::checked(-::pthread_attr_init(&small), "pthread_attr_init");
  testing::checked(-::pthread_attr_setstacksize(&small, stack_size), "pthread_attr_setstacksize");
  int started = 0;
  for (; started < threads; ++started) {
    sleepers.emplace_back().awake = &awake;
    pthread_t thread{};
    if (::pthread_create(&thread, &small, sleep_until_told, &sleepers.back()) != 0) break;
  }
  wait_for(awake, started);
  std::this_thread::sleep_for(300ms);  // until the last ones sleep
  const int wanted = std::min(wakings, started);
  const auto before = cpu_time_of(::getpid());
  for (int done = 0; done < wanted; ++done) {
    Sleeper& sleeper = sleepers[static_cast<std::size_t>(static_cast<long>(done) * started / wanted)];
    sleeper.told = 1;
    wake_one(sleeper.told);
    wait_for(awake, started + done + 1);
  }
  const std::chrono::duration<double, std::micro> spent = cpu_time_of(::getpid()) - before;
  return spent.count() / std::max(1, wanted);
}

}  // namespace redismutex::bench
