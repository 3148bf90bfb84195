#include "waiters.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "support/posix.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using testing::checked;
using Clock = std::chrono::steady_clock;

constexpr std::size_t stack_size = 128 * 1024;

std::string key_of(int number) { return "bench:waiters:" + std::to_string(number); }

/// For longer than this goes on.
Options patient(std::chrono::milliseconds delay) { return {.block_time = 300s, .delay = delay, .expiry = 400s}; }

}  // namespace

std::chrono::nanoseconds cpu_time_of(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0) throw std::runtime_error{"no clock of the process"};
  checked(::clock_gettime(clock, &time), "clock_gettime");
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

/// What both processes see.
struct Waiters::Board {
  std::atomic<bool> held{false};  ///< all locks, by the parent
  std::atomic<int> threads{-1};   ///< that are to wait; -1: not yet known
  std::atomic<int> asking{0};     ///< of these, those that have begun to acquire
  std::atomic<int> granted{0};
};

Waiters::Board& Waiters::shared_board() {
  void* const memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  return *new (memory) Board;
}

/// The threads that wait, as many as the machine bears.
class Waiters::Crowd {
 public:
  Crowd(Board& board, const std::string& url, std::chrono::milliseconds delay)
      : board_{board}, mutex_{Connection{url}, patient(delay)} {
    mutex_.acquire_lock("bench:waiters:first").release();  // starts what the Connection needs while there is room
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
int Waiters::wait_in_threads(Board& board, const std::string& url, int threads, std::chrono::milliseconds delay) {
  while (!board.held) std::this_thread::sleep_for(1ms);
  Crowd crowd{board, url, delay};
  crowd.line_up(threads);
  for (;;) ::pause();
}

template <class Condition>
void Waiters::wait_until(const char* what, Condition condition) const {
  const auto end = Clock::now() + 120s;
  while (!condition()) {
    if (!process_.running()) throw std::runtime_error{"those who wait have ended, before " + std::string{what}};
    if (Clock::now() > end) throw std::runtime_error{"in vain waited until " + std::string{what}};
    std::this_thread::sleep_for(50us);
  }
}

Waiters::Waiters(const std::string& url, int wanted, std::chrono::milliseconds delay)
    : board_{shared_board()}, process_{[&] { return wait_in_threads(board_, url, wanted, delay); }} {
  const RedisMutex mutex{Connection{url}, patient(delay)};
  for (int number = 0; number < wanted; ++number) held_.push_back(mutex.acquire_lock(key_of(number)));
  board_.held = true;
  wait_until("its threads are started", [&] { return board_.threads >= 0 && board_.asking == board_.threads; });
}

Waiters::~Waiters() { process_.kill(SIGKILL); }

int Waiters::count() const noexcept { return board_.threads; }

void Waiters::grant(int number) {
  const int before = board_.granted;
  held_.at(static_cast<std::size_t>(number)).release();
  wait_until("a lock is granted", [&] { return board_.granted == before + 1; });
}

void Waiters::wait_until_quiet() const {
  auto before = cpu_time_of(process());
  wait_until("all stand in line", [&] {
    std::this_thread::sleep_for(250ms);
    const auto now = cpu_time_of(process());
    return now - std::exchange(before, now) < 2ms;
  });
}

}  // namespace redismutex::bench
