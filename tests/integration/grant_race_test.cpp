// A waiter gives up in the very moment in which it is handed the lock. Either it has the lock, or it has not and the lock
// goes on to the next: it is never left behind.

#include <barrier>
#include <random>
#include <thread>

#include "contender.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

// Four tests, so ten thousand races in all.
constexpr int races = sanitized ? 250 : 2500;

void spin_until(Time end) {
  while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

struct GrantRace : WithServer {
  const RedisMutex mutex{connection, sleepy};
  const Connection elsewhere{server.url()};
  const RedisMutex other{elsewhere, sleepy};

  /// When things happen in a race, from its beginning.
  struct Plan {
    microseconds release;
    microseconds stop;
  };

  /// Each time: we hold the lock, `waiter` wants it, and about when we release it, it gives up. Then we must get it back,
  /// although nobody's lease would end as soon. Wait(mutex, stop_token) says whether it had the lock.
  template <class Draw, class Wait>
  void race(const RedisMutex& waiting, Draw draw, Wait wait) {
    std::minstd_rand random(1);
    Plan plan{};
    std::stop_source stop;
    Time begin;
    int taken = 0;
    std::barrier all(3);
    std::jthread waiter([&] {
      for (int i = 0; i < races; ++i) {
        all.arrive_and_wait();
        if (wait(waiting, stop.get_token())) ++taken;
        all.arrive_and_wait();
      }
    });
    std::jthread stopper([&] {
      for (int i = 0; i < races; ++i) {
        all.arrive_and_wait();
        spin_until(begin + plan.stop);
        stop.request_stop();
        all.arrive_and_wait();
      }
    });
    for (int i = 0; i < races; ++i) {
      auto lock = mutex.try_acquire_lock_for("key", limit);
      if (!lock) ADD_FAILURE() << "left behind in race " << i;
      stop = {};
      plan = draw(random);
      begin = std::chrono::steady_clock::now();
      all.arrive_and_wait();
      spin_until(begin + plan.release);
      lock.reset();
      all.arrive_and_wait();
    }
    EXPECT_GT(taken, 0) << "no race";
    EXPECT_LT(taken, races) << "no race";
  }

  void race_against_stop(const RedisMutex& waiting) {
    race(
        waiting,
        [](std::minstd_rand& random) {
          const microseconds release{random() % 400};
          return Plan{.release = release, .stop = release + microseconds{random() % 300} - 50us};
        },
        [](const RedisMutex& one, const std::stop_token& stop) {
          try {
            return one.acquire_lock("key", stop).owns_lock();
          } catch (const LockCancelled&) {
            return false;
          }
        });
  }

  void race_against_the_limit(const RedisMutex& waiting) {
    race(
        waiting,
        [](std::minstd_rand& random) { return Plan{.release = microseconds{700 + random() % 500}, .stop = 0us}; },
        [](const RedisMutex& one, const std::stop_token&) {
          try {
            return one.try_acquire_lock_for("key", 1ms).has_value();
          } catch (const ConnectionError&) {
            return false;  // a busy machine: not even one answer came in time
          }
        });
  }
};

TEST_F(GrantRace, CancelledWhileTheServerHandsItTheLock) { race_against_stop(other); }

TEST_F(GrantRace, CancelledWhileAThreadPassesItTheLock) { race_against_stop(mutex); }

TEST_F(GrantRace, OutOfTimeWhileTheServerHandsItTheLock) { race_against_the_limit(other); }

TEST_F(GrantRace, OutOfTimeWhileAThreadPassesItTheLock) { race_against_the_limit(mutex); }

}  // namespace
}  // namespace redismutex::testing
