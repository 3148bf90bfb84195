#include "grants.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <thread>
#include <utility>
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
  std::atomic<int> threads{-1};   ///< that are to wait; -1: not yet known
  std::atomic<int> asking{0};     ///< of these, those that have begun to acquire
  std::atomic<int> granted{0};
};

Board& shared_board() {
  void* const memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  return *new (memory) Board;
}

/// The threads that wait, as many as the machine bears.
class Crowd {
 public:
  Crowd(Board& board, const std::string& url) : board_{board}, mutex_{Connection{url}, patient} {
    mutex_.acquire_lock("bench:grants:first").release();  // starts what the Connection needs while there is room
  }

  void line_up(int threads) {
    for (int number = 0; number < threads; ++number) members_.push_back({this, number});
    pthread_attr_t small{};
    checked(-::pthread_attr_init(&small), "pthread_attr_init");
    checked(-::pthread_attr_setstacksize(&small, stack_size), "pthread_attr_setstacksize");
    int started = 0;
    for (Member& member : members_) {
      pthread_t thread{};
      if (::pthread_create(&thread, &small, run, &member) != 0) break;
      ++started;
    }
    // Where there can be no more, some go again: the library may want a thread later.
    const int staying = started == threads ? threads : std::max(0, started - spare_threads);
    board_.threads = staying;
    staying_ = staying;
    staying_.notify_all();
  }

 private:
  static constexpr int not_yet = -1;
  static constexpr int spare_threads = 16;

  struct Member {
    Crowd* crowd;
    int number;
  };

  static void* run(void* argument) {
    const Member& self = *static_cast<const Member*>(argument);
    self.crowd->staying_.wait(not_yet);
    if (self.number < self.crowd->staying_) self.crowd->wait_and_keep(self.number);
    return nullptr;
  }

  void wait_and_keep(int number) try {
    ++board_.asking;
    const Lock lock = mutex_.acquire_lock(key_of(number));
    ++board_.granted;
    for (;;) ::pause();
  } catch (const std::exception& error) {
    std::cerr << "a thread that waits: " << error.what() << std::endl;
    ::_exit(EXIT_FAILURE);
  }

  Board& board_;
  const RedisMutex mutex_;
  std::vector<Member> members_;
  std::atomic<int> staying_{not_yet};  ///< so many of all
};

/// The process of those who wait; it is killed in the end.
int wait_in_threads(Board& board, const std::string& url, int threads) {
  while (!board.held) std::this_thread::sleep_for(1ms);
  Crowd crowd{board, url};
  crowd.line_up(threads);
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
    const auto now = cpu_time_of(crowd.pid());
    return now - std::exchange(before, now) < 2ms;
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
