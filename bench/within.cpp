#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "match.hpp"
#include "modes.hpp"
#include "statistics.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

const Spectator nobody = [](const std::function<bool()>&) {};

double turns_a_second(Run& run, int processes, int threads) {
  const Game game{
      .processes = processes, .threads = threads, .hold = 0ms, .pause = 0ms, .length = 2s, .key = "bench:within"};
  return summarize(play("ours-patient", run.server.url(), game, nobody)).turns_a_second;
}

/// A queue of threads and nothing else: what the machine takes for waking one thread after another.
class BareQueue {
 public:
  void lock() {
    thread_local std::binary_semaphore turn{0};
    {
      const std::lock_guard hold{mutex_};
      if (!std::exchange(taken_, true)) return;
      waiting_.push_back(&turn);
    }
    turn.acquire();
  }

  void unlock() {
    std::binary_semaphore* next = nullptr;
    {
      const std::lock_guard hold{mutex_};
      taken_ = !waiting_.empty();
      if (!taken_) return;
      next = waiting_.front();
      waiting_.pop_front();
    }
    next->release();
  }

 private:
  std::mutex mutex_;
  bool taken_ = false;
  std::deque<std::binary_semaphore*> waiting_;
};

double bare_turns_a_second(int threads) {
  constexpr auto length = 2s;
  BareQueue queue;
  std::atomic<long> turns{0};
  const auto end = std::chrono::steady_clock::now() + length;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        while (std::chrono::steady_clock::now() < end) {
          const std::lock_guard turn{queue};
          ++turns;
        }
      });
    }
  }
  return static_cast<double>(turns) / std::chrono::duration<double>{length}.count();
}

/// Of a second process beside; the median counts of what the machine itself may prolong: it stands still for some ms at times.
constexpr int runs_beside = 3;

/// How the one thread of a process fared beside the many of another.
struct Beside {
  std::vector<double> waits_ms{};
  int most_holds = 0;          ///< of the others, in one wait
  double longest_idle_ms = 0;  ///< how much of one wait nobody was inside
};

Beside look_at(const std::vector<Turn>& one, const std::vector<Turn>& many) {
  Beside beside;
  for (const Turn& turn : one) {
    int holds = 0;
    Nanoseconds idle = turn.entered - turn.asked;
    for (const Turn& other : many) {
      if (other.leaving <= turn.asked || other.entered >= turn.entered) continue;
      ++holds;
      idle -= std::min(other.leaving, turn.entered) - std::max(other.entered, turn.asked);
    }
    beside.waits_ms.push_back(static_cast<double>(turn.entered - turn.asked) / 1e6);
    beside.most_holds = std::max(beside.most_holds, holds);
    beside.longest_idle_ms = std::max(beside.longest_idle_ms, static_cast<double>(idle) / 1e6);
  }
  return beside;
}

Beside play_beside(const std::string& url) {
  const Game game{.processes = 1, .threads = 8, .hold = 2ms, .pause = 0ms, .length = 5s, .key = "bench:within"};
  Game alone = game;
  alone.threads = 1;
  auto threads_of_one = std::async(std::launch::async, [&] { return play("ours-patient", url, game, nobody); });
  const Match second = play("ours-patient", url, alone, nobody);
  return look_at(second.turns.front(), threads_of_one.get().turns.front());
}

}  // namespace

void run_within(Run& run) {
  run.report.say("within: processes and threads");
  const double processes = turns_a_second(run, 8, 1);
  const double threads = turns_a_second(run, 1, 8);
  Table table{"within", "Turns on one key, with nothing to do inside or outside; unix socket", {"who", "turns/s"}};
  table.rows.push_back({"8 processes", {processes, 0}});
  table.rows.push_back({"8 threads of one process", {threads, 0}});
  table.rows.push_back({"8 threads, a bare queue", {bare_turns_a_second(8), 0}});
  run.report.add(std::move(table));
  run.report.hold("within: turns/s of 8 threads, x 8 processes", threads / processes, {Bar::Kind::at_least, 10});

  Table table_beside{
      "within",
      "A process with one thread beside one with eight that always want the lock; 2 ms inside; unix socket",
      {"run", "wait p50 ms", "p99", "max", "most holds in a wait", "nobody inside ms"}};
  std::vector<double> most_holds, longest_idle_ms;
  for (int i = 1; i <= runs_beside; ++i) {
    run.report.say("within: a second process, " + std::to_string(i) + " of " + std::to_string(runs_beside));
    const Beside beside = play_beside(run.server.url());
    most_holds.push_back(static_cast<double>(beside.most_holds));
    longest_idle_ms.push_back(beside.longest_idle_ms);
    table_beside.rows.push_back({std::to_string(i),
                                 {median(beside.waits_ms), 1},
                                 {percentile(beside.waits_ms, 0.99), 1},
                                 {percentile(beside.waits_ms, 1), 1},
                                 {most_holds.back(), 0},
                                 {longest_idle_ms.back(), 2}});
  }
  run.report.add(std::move(table_beside));
  run.report.hold("within: others' holds in a second process's wait", percentile(most_holds, 1),
                  {Bar::Kind::at_most, 17});
  run.report.hold("within: how much of a wait nobody was inside, ms", median(longest_idle_ms), {Bar::Kind::at_most, 5});
}

}  // namespace redismutex::bench
