// The threads of one process stand in one line for a key, with one place at the server. For that no request starves, neither theirs nor
// another process's, and what goes from hand to hand is a lock that they still have.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "events.hpp"
#include "stalls.hpp"
#include "stopwatch.hpp"
#include "support/exclusion_witness.hpp"
#include "support/proxy.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// The machine may do something else just when time is measured, but not each time.
constexpr int attempts = 3;

// ---- after a hiccup -------------------------------------------------------------------------------------------------

/// A server with a way to it that can fail, for one process's requests. Others use the lock, too, by another way.
struct Street {
  Server server;
  Proxy proxy{server};
  const Connection others{server.url()};
};

struct Hiccup {
  std::string name;
  std::function<void(Street&)> strike;  ///< returns when it is over
};

constexpr auto hiccup_length = 1500ms;

class AfterAHiccup : public ::testing::TestWithParam<Hiccup> {
 protected:
  static constexpr auto interval = 100ms;
  static constexpr int early = 5, counted = 25;

  /// A request comes every 100 ms, before, during and after the hiccup, and waits for a second. How many of those after it are served
  /// within 3 s.
  static int served() {
    Street street;
    const std::vector<std::jthread> busy = use_the_lock(street.server.url());
    const RedisMutex mutex{Connection{street.proxy.url()}, {.block_time = 1s}};
    std::atomic<Clock::time_point> over{Clock::time_point::max()};
    std::atomic<int> count = 0;
    const auto request = [&](bool counts) {
      try {
        const Lock lock = mutex.acquire_lock("key");
        std::this_thread::sleep_for(1ms);
        if (counts && Clock::now() <= over.load() + 3s) ++count;
      } catch (const Error&) {  // it gives up, or the server is away
      }
    };
    std::vector<std::jthread> requests;
    auto due = Clock::now();
    const auto next = [&](bool counts) {
      requests.emplace_back(request, counts);
      std::this_thread::sleep_until(due += interval);
    };
    for (int i = 0; i < early; ++i) next(false);
    auto hiccup = std::async(std::launch::async, [&] {
      GetParam().strike(street);
      over = Clock::now();
    });
    while (hiccup.wait_for(0s) != std::future_status::ready) next(false);
    for (int i = 0; i < counted; ++i) next(true);
    requests.clear();
    return count;
  }

 private:
  /// Three who always want it, each as a process of its own: so nobody comes to the server and finds the lock free.
  static std::vector<std::jthread> use_the_lock(const std::string& url) {
    std::vector<std::jthread> busy;
    for (int i = 0; i < 3; ++i) {
      busy.emplace_back([url](const std::stop_token& stop) {
        const RedisMutex mutex{Connection{url}, patient};
        while (!stop.stop_requested()) {
          const Lock lock = mutex.acquire_lock("key");
          std::this_thread::sleep_for(50ms);
        }
      });
    }
    return busy;
  }
};

TEST_P(AfterAHiccup, RequestsAreServedAgain) {
  constexpr int enough = 22;
  int most = 0;
  for (int i = 0; i < attempts && most < enough; ++i) {
    most = std::max(most, served());
    std::cout << most << " of " << counted << " were served\n";
  }
  EXPECT_GE(most, enough);
}

INSTANTIATE_TEST_SUITE_P(
    Line, AfterAHiccup,
    ::testing::Values(Hiccup{"OfAnotherHolder",
                             [](Street& street) {
                               const Lock lock = RedisMutex{street.others, patient}.acquire_lock("key");
                               std::this_thread::sleep_for(hiccup_length);
                             }},
                      Hiccup{"OfTheServer",
                             [](Street& street) {
                               street.server.pause();
                               std::this_thread::sleep_for(hiccup_length);
                               street.server.resume();
                             }},
                      Hiccup{"OfTheNetwork",
                             [](Street& street) {
                               street.proxy.freeze();
                               std::this_thread::sleep_for(hiccup_length);
                               street.proxy.pass();
                             }},
                      Hiccup{"OfTheConnection",
                             [](Street& street) {
                               street.proxy.refuse();
                               street.proxy.cut_all(Ending::rst);
                               std::this_thread::sleep_for(hiccup_length);
                               street.proxy.pass();
                             }}),
    [](const auto& each) { return each.param.name; });

// ---- beside another process -----------------------------------------------------------------------------------------

/// A process of twelve threads that all want the key, pass it on, and give up before all the others have had their turns.
ChildProcess crowd(const Server& server, ExclusionWitness& witness, std::chrono::milliseconds hold) {
  return ChildProcess{[url = server.url(), &witness, hold] {
    const RedisMutex mutex{Connection{url}, {}};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        for (;;) {
          try {
            const auto lock = mutex.try_acquire_lock_for("key", hold * 5 / 2 + 15ms);
            if (!lock) continue;
            witness.enter();
            std::this_thread::sleep_for(hold);
            witness.leave();
          } catch (const ConnectionError&) {  // the machine was busy for as long as that
          }
        }
      });
    }
    return 0;
  }};
}

/// How long a second process waits for the lock at most, each time when the first has had it for a while.
Clock::duration longest_wait_beside_a_crowd(std::chrono::milliseconds hold, int visits) {
  Server server;
  ExclusionWitness witness;
  const ChildProcess busy = crowd(server, witness, hold);
  const RedisMutex mutex{Connection{server.url()}, {}};
  const Stalls stalls;
  Clock::duration longest{0};
  for (int done = 0, all = 0; done < visits && all < 2 * visits; ++all) {
    const long before = witness.entries();
    if (!eventually(limit, [&] { return witness.entries() >= before + 3; })) return limit;
    const auto stolen = stalls.so_far();
    const auto start = Clock::now();
    {
      const Lock lock = mutex.acquire_lock("key");
      witness.enter();
      witness.leave();
    }
    const auto waited = Clock::now() - start;
    if (waited > hold + 100ms && stalls.so_far() - stolen > 5ms) continue;  // that does not count
    longest = std::max(longest, waited);
    ++done;
  }
  EXPECT_EQ(witness.most_inside(), 1);
  return longest;
}

// Threads that pass the lock on among themselves, and give up, never keep another process waiting for longer than one hold.
TEST(Line, ACrowdKeepsNobodyElseWaiting) {
  struct Case {
    std::chrono::milliseconds hold;
    int visits;
  };
  for (const auto& [hold, visits] : {Case{2ms, 30}, Case{30ms, 20}, Case{400ms, 6}}) {
    Clock::duration longest = Clock::duration::max();
    for (int i = 0; i < attempts && longest > hold + 100ms; ++i) {
      longest = std::min(longest, longest_wait_beside_a_crowd(hold, visits));
      std::cout << "with " << hold.count() << " ms inside each time another waits for "
                << std::chrono::ceil<std::chrono::milliseconds>(longest).count() << " ms at most\n";
    }
    EXPECT_LE(longest, hold + 100ms);
  }
}

// ---- a lock that is gone --------------------------------------------------------------------------------------------

struct LineOfThreads : WithServer {
  /// Deletes the key of a lock that somebody has, and takes it, in one step.
  void steal() {
    server.command({"MULTI"});
    server.command({"DEL", "key"});
    server.command({"SET", "key", "another", "NX", "PX", "60000"});
    server.command({"EXEC"});
  }
};

// Another client has deleted the key and is inside, for 5 ms and more, when a thread releases what was its lock: that does not let in
// the next thread of its process.
TEST_F(LineOfThreads, ALockThatIsGoneIsNotPassed) {
  constexpr int times = 200;
  const auto events = std::make_shared<Events>();
  const RedisMutex mutex{observed(server.url(), events), patient};
  int together = 0;
  for (int i = 0; i < times; ++i) {
    std::atomic<bool> another_is_inside = false;
    std::optional<Lock> first = mutex.acquire_lock("key");
    const std::string value = first->value();
    auto second = std::async(std::launch::async, [&] {
      const Lock lock = mutex.acquire_lock("key");
      return another_is_inside || lock.value() == value;
    });
    ASSERT_TRUE(eventually(limit, [&] { return events->all().waits.size() == static_cast<std::size_t>(i) + 1; }));
    std::this_thread::sleep_for(i % 3 * 8ms);  // the server may be watching the key for us by then, or not
    steal();
    another_is_inside = true;
    std::this_thread::sleep_for(5ms + i % 20 * 1ms);
    EXPECT_THROW(first->release(), MutexUnlockError);
    std::this_thread::sleep_for(5ms);
    another_is_inside = false;
    server.command({"DEL", "key"});
    together += second.get() ? 1 : 0;
  }
  EXPECT_EQ(together, 0);
}

}  // namespace
}  // namespace redismutex::testing
