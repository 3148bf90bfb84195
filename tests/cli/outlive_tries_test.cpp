// At no moment does a process of the command run while the lock is not its: tried with one of redismutex's processes after
// another, killed or stopped at a random moment, from before it has the lock to after its first renewals.
//
// $REDISMUTEX_OUTLIVE_TRIES says how many tries; scripts/outlive sets it.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "command.hpp"
#include "run_processes.hpp"
#include "support/raw_client.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto tried_expiry = 2s;  // the shortest with the full margin of half a second
constexpr int few_tries = 24;
constexpr unsigned at_once = 4;

// Half of what watcher and keeper have between their time and the end of the lease goes to their own waits. On a machine that
// lets nobody run for longer than this, a process that outlives the lease is not theirs: the try is made again.
constexpr auto stall_that_excuses = 100ms;
constexpr int most_attempts = 5;

constexpr std::array scripts{
    "sleep 1000 & sleep 1001 & wait",
    // Without the variable by which the witness finds what watcher and keeper have left.
    "env -u REDISMUTEX_VALUE setsid sleep 1000 & setsid sh -c 'sleep 1001 & sleep 1002; :' & wait",
    "(setsid sh -c 'sleep 1000 & (sleep 1001 &); exit' &); (sleep 1002 &); exec sleep 1003",
    "trap '' TERM; while :; do setsid sleep 1000 & sleep 0.02; done",
};
constexpr std::array victims{"redismutex", "lock-keeper", "signal-witness"};

int tries_wanted() {
  const char* const text = std::getenv("REDISMUTEX_OUTLIVE_TRIES");
  return text == nullptr ? few_tries : std::atoi(text);
}

struct Try {
  std::string script;
  std::string victim;
  int signal;
  Clock::duration after;

  explicit Try(int number)
      : script(scripts[static_cast<std::size_t>(number) % scripts.size()]),
        victim(victims[static_cast<std::size_t>(number) / scripts.size() % victims.size()]),
        signal(static_cast<std::size_t>(number) / (scripts.size() * victims.size()) % 2 == 0 ? SIGKILL : SIGSTOP) {
    // Not minstd_rand, whose first number is about as small as the seed.
    std::mt19937 random(static_cast<unsigned>(number));
    after = std::chrono::microseconds(std::uniform_int_distribution<int>(0, 1'500'000)(random));
  }

  std::string text() const {
    return (signal == SIGKILL ? "SIGKILL to " : "SIGSTOP to ") + victim + " after " +
           std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(after).count()) + " us of '" + script +
           "'";
  }
};

class OutliveTries : public ::testing::Test {
 protected:
  /// Says what is wrong; empty if all is well.
  std::string outcome(int number) {
    const Try trial(number);
    const RunMark mark;
    const auto key = "k" + std::to_string(number);
    RawClient client(server_.socket_path());
    const auto process =
        start_redismutex({"run", "--expiry", std::to_string(tried_expiry.count()), key, "sh", "-c", trial.script},
                         {"REDIS_URL=" + server_.url(), mark.variable()});
    std::this_thread::sleep_for(trial.after);  // not a condition that is waited for: the moment that is tried
    const auto watcher = process.pid();
    const auto keeper = child_named(watcher, "lock-keeper");
    const auto witness = child_named(watcher, "signal-witness");
    const auto victim = trial.victim == "redismutex" ? watcher : trial.victim == "lock-keeper" ? keeper : witness;
    if (victim > 0) ::kill(victim, trial.signal);

    // Longer than a lease: either the run is over by then, or it has got over it and renews the lock.
    const auto can_start = [&] { return alive(watcher) && (keeper <= 0 || alive(keeper)); };
    auto wrong = outlives(client, key, mark, can_start, Clock::now() + 3 * tried_expiry / 2);
    for (const auto pid : {watcher, keeper, witness}) {
      if (pid > 0 && alive(pid)) ::kill(pid, SIGCONT);
    }
    if (wrong.empty() && alive(watcher)) {
      ::kill(watcher, SIGKILL);
      wrong = outlives(client, key, mark, can_start, Clock::now() + limit);
    }
    for (const auto pid : mark.processes_of_command()) ::kill(pid, SIGKILL);
    return wrong.empty() ? wrong : trial.text() + ": " + wrong;
  }

 private:
  static bool absent(RawClient& client, const std::string& key) { return client.command({"EXISTS", key}).integer == 0; }

  /// Looks until `end`, or until the lock is gone and all is over.
  std::string outlives(RawClient& client, const std::string& key, const RunMark& mark,
                       const std::function<bool()>& can_start, Clock::time_point end) {
    bool was_held = false;
    while (Clock::now() < end) {
      if (!absent(client, key)) {
        was_held = true;
      } else if (const auto left = mark.processes_of_command(); !left.empty() && absent(client, key)) {
        return std::to_string(left.size()) + " processes outlive the lease";
      } else if (was_held || !can_start()) {
        return {};
      }
      const auto asleep_at = Clock::now();
      std::this_thread::sleep_for(1ms);
      note_stall(Clock::now() - asleep_at);
    }
    return {};
  }

  void note_stall(Clock::duration stall) {
    own_stall = std::max(own_stall, stall);
    auto longest = longest_stall_.load();
    while (stall > longest && !longest_stall_.compare_exchange_weak(longest, stall)) {
    }
  }

  Server server_;

 protected:
  /// The same in the calling thread's present try.
  static inline thread_local Clock::duration own_stall{};

  /// For how long this machine did not let a process run that had nothing to wait for any more.
  std::atomic<Clock::duration> longest_stall_{};
};

TEST_F(OutliveTries, LeaveNothing) {
  const int tries = tries_wanted();
  std::atomic<int> next = 0;
  std::atomic<int> failures = 0, repeated = 0;
  std::mutex output;
  {
    std::vector<std::jthread> lanes;
    for (unsigned lane = 0; lane < at_once; ++lane) {
      lanes.emplace_back([&] {
        for (int number = next++; number < tries; number = next++) {
          std::string wrong;
          for (int attempt = 1; attempt <= most_attempts; ++attempt) {
            own_stall = {};
            wrong = outcome(number);
            if (wrong.empty() || own_stall < stall_that_excuses) break;
            ++repeated;
          }
          if (wrong.empty()) continue;
          ++failures;
          const std::lock_guard guard(output);
          ADD_FAILURE() << wrong;
        }
      });
    }
  }
  RecordProperty("tries", tries);
  std::printf(
      "%d tries, %d with processes that outlive the lease; %d made again, because the machine stood still; its longest "
      "stall "
      "was %lld ms\n",
      tries, failures.load(), repeated.load(),
      static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(longest_stall_.load()).count()));
}

}  // namespace
}  // namespace redismutex::testing
