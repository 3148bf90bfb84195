#include "grants.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <new>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/posix.hpp"
#include "support/process.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using testing::checked;
using testing::ChildProcess;
using Clock = std::chrono::steady_clock;

// So long that nobody in line looks after its place while this goes on.
constexpr Options patient{.block_time = 300s, .delay = 100s, .expiry = 400s};
constexpr std::size_t stack_size = 128 * 1024;

std::string key_of(int number) { return "bench:grants:" + std::to_string(number); }

/// What both processes see.
struct Board {
  std::atomic<bool> held{false};  ///< all locks, by the parent
  std::atomic<int> threads{-1};   ///< that could be started; -1: not yet known
  std::atomic<int> asking{0};     ///< threads that have begun to acquire
  std::atomic<int> granted{0};
};

Board& shared_board() {
  void* const memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  return *new (memory) Board;
}

struct Waiter {
  Board* board;
  const RedisMutex* mutex;
  int number;
};

void* wait_and_keep(void* argument) {
  const Waiter& self = *static_cast<const Waiter*>(argument);
  try {
    ++self.board->asking;
    const Lock lock = self.mutex->acquire_lock(key_of(self.number));
    ++self.board->granted;
    for (;;) ::pause();
  } catch (const std::exception& error) {
    std::cerr << "a thread that waits: " << error.what() << std::endl;
    ::_exit(EXIT_FAILURE);
  }
}

/// The process of those who wait; it is killed in the end.
int wait_in_threads(Board& board, const std::string& url, int threads) {
  while (!board.held) std::this_thread::sleep_for(1ms);
  const RedisMutex mutex{Connection{url}, patient};
  std::vector<Waiter> waiters;
  for (int number = 0; number < threads; ++number) waiters.push_back({&board, &mutex, number});
  pthread_attr_t small{};
  ::pthread_attr_init(&small);
  ::pthread_attr_setstacksize(&small, stack_size);
  int started = 0;
  for (Waiter& waiter : waiters) {
    pthread_t thread{};
    if (::pthread_create(&thread, &small, wait_and_keep, &waiter) != 0) break;
    ++started;
  }
  board.threads = started;
  for (;;) ::pause();
}

std::chrono::nanoseconds cpu_time_of(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0) throw std::runtime_error{"no clock of the process"};
  checked(::clock_gettime(clock, &time), "clock_gettime");
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

template <class Condition>
void wait_until(const ChildProcess& crowd, const char* what, Condition condition) {
  const auto end = Clock::now() + 120s;
  while (!condition()) {
    if (!crowd.running()) throw std::runtime_error{"those who wait have ended, before " + std::string{what}};
    if (Clock::now() > end) throw std::runtime_error{"in vain waited until " + std::string{what}};
    std::this_thread::sleep_for(50us);
  }
}

/// Until the process has next to nothing to do.
void wait_until_quiet(const ChildProcess& crowd) {
  auto before = cpu_time_of(crowd.pid());
  wait_until(crowd, "all stand in line", [&] {
    std::this_thread::sleep_for(250ms);
    const auto spent = cpu_time_of(crowd.pid()) - std::exchange(before, cpu_time_of(crowd.pid()));
    return spent < 2ms;
  });
}

}  // namespace

Grants measure_grants(const std::string& url, int threads, int grants) {
  Board& board = shared_board();
  // Before there is a Connection here: a child of fork() should inherit none.
  const ChildProcess crowd{[&] { return wait_in_threads(board, url, threads); }};
  const RedisMutex mutex{Connection{url}, patient};
  std::vector<Lock> held;
  for (int number = 0; number < threads; ++number) held.push_back(mutex.acquire_lock(key_of(number)));
  board.held = true;
  wait_until(crowd, "its threads are started", [&] { return board.threads >= 0 && board.asking == board.threads; });
  wait_until_quiet(crowd);

  // Evenly from first to last, should the order matter.
  const int waiting = board.threads;
  const int wanted = std::min(grants, waiting);
  const auto before = cpu_time_of(crowd.pid());
  for (int done = 0; done < wanted; ++done) {
    const auto number = static_cast<std::size_t>(static_cast<long>(done) * waiting / wanted);
    held.at(number).release();
    wait_until(crowd, "a lock is granted", [&] { return board.granted == done + 1; });
  }
  std::this_thread::sleep_for(300ms);  // what a grant asks for later, such as its full lease, counts as well
  const std::chrono::duration<double, std::micro> spent = cpu_time_of(crowd.pid()) - before;
  crowd.kill(SIGKILL);
  return {.waiting = static_cast<double>(waiting), .cpu_us = spent.count() / wanted};
}

}  // namespace redismutex::bench
