// Coroutines on an event loop: beside threads that block, and by the ten thousand.

#include <malloc.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <redismutex/async.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "alternation.hpp"
#include "asio_site.hpp"
#include "crowd.hpp"
#include "event_loop.hpp"
#include "latency.hpp"
#include "lockers.hpp"
#include "modes.hpp"
#include "server_work.hpp"
#include "statistics.hpp"
#include "support/eventually.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;
using Seconds = std::chrono::duration<double>;

constexpr int at_a_time = 64;
constexpr int many = 10'000;

/// An AsyncMutex, its loop, and a Connection of its own.
struct Site {
  explicit Site(const std::string& url, Options options = {})
      : mutex{Connection{url}, std::move(options), loop.executor()} {}
  EventLoop loop;
  AsyncMutex mutex;
};

Seconds processor_time() {
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  const auto seconds = [](const timeval& time) {
    return Seconds{static_cast<double>(time.tv_sec)} + std::chrono::duration<double, std::micro>{time.tv_usec};
  };
  return seconds(own.ru_utime) + seconds(own.ru_stime);
}

// ---- beside threads -------------------------------------------------------------------------------------------------

struct Shift {
  std::atomic<bool> over{false};
  std::atomic<long> pairs{0};
  std::latch left{at_a_time};

  bool goes_on() const { return !over.load(std::memory_order_relaxed); }
  void note_end(long of_one) {
    pairs += of_one;
    left.count_down();
  }
};

Detached take_and_give(const AsyncMutex& mutex, std::string key, Shift& shift) {
  long pairs = 0;
  while (shift.goes_on()) {
    AsyncLock lock = co_await mutex.acquire_lock(key);
    co_await lock.release();
    ++pairs;
  }
  shift.note_end(pairs);
}

/// What pairs have cost in all rounds; unlike their number in a second this hardly depends on what else the machine does.
struct Cost {
  double pairs = 0;
  Seconds client{0};  // of processor time
  Seconds server{0};

  Microseconds a_pair() const { return (client + server) / pairs; }
};

/// `work`: returns how many pairs a second it has made.
template <class Work>
Contender counted(std::string name, testing::Server& server, Cost& cost, Work work) {
  return {std::move(name), [&server, &cost, work = std::move(work)](std::vector<double>& figures) {
            const Seconds client = processor_time();
            const Seconds at_server{ServerWork::of(server).seconds};
            const Throughput done = work();
            cost.client += processor_time() - client;
            cost.server += Seconds{ServerWork::of(server).seconds} - at_server;
            cost.pairs += done.pairs;
            figures.push_back(done.a_second());
          }};
}

/// `begin`: has one of them begin with this key.
template <class Begin>
Throughput work_on_loop(std::chrono::milliseconds length, const Begin& begin) {
  Shift shift;
  const auto start = Clock::now();
  for (int i = 0; i < at_a_time; ++i) begin("bench:async:" + std::to_string(i), shift);
  std::this_thread::sleep_for(length);
  shift.over = true;
  shift.left.wait();
  return {.pairs = static_cast<double>(shift.pairs), .seconds = Seconds{Clock::now() - start}.count()};
}

void measure_many_at_a_time(Run& run) {
  constexpr int rounds = 11;
  constexpr auto length = 500ms;
  Table table{"async",
              std::to_string(at_a_time) +
                  " take and give back a lock each over one connection: coroutines of an Asio loop that reads by "
                  "itself, or of one that "
                  "is posted to, or threads; " +
                  std::to_string(rounds) + " rounds of " + std::to_string(length.count()) + " ms, in turns",
              {"way", "who", "pairs/s", "x threads", "p25", "p75", "client us/pair", "server us/pair"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("async: " + std::to_string(at_a_time) + " over " + way);
    const Lockers crowd = make_lockers("ours", url, 1, at_a_time);
    AsioSite reading{url};
    const Site posted{url};
    std::array<Cost, 3> costs;
    const auto begin_reading = [&](std::string key, Shift& shift) {
      reading.take_and_give(std::move(key), [&shift, pairs = 0L]() mutable {
        ++pairs;
        if (shift.goes_on()) return true;
        shift.note_end(pairs);
        return false;
      });
    };
    const auto begin_posted = [&](std::string key, Shift& shift) {
      take_and_give(posted.mutex, std::move(key), shift);
    };
    const auto measured =
        alternate({counted("Asio", run.server, costs[0], [&] { return work_on_loop(length, begin_reading); }),
                   counted("posted", run.server, costs[1], [&] { return work_on_loop(length, begin_posted); }),
                   counted("threads", run.server, costs[2], [&] { return work_together(crowd, length); })},
                  rounds);
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto times = ratios(measured[i], measured[2]);
      table.rows.push_back({way,
                            measured[i].name,
                            {median(measured[i].figures), 0},
                            {median(times), 2},
                            {percentile(times, 0.25), 2},
                            {percentile(times, 0.75), 2},
                            {Microseconds{costs.at(i).client}.count() / costs.at(i).pairs, 1},
                            {Microseconds{costs.at(i).server}.count() / costs.at(i).pairs, 1}});
    }
    for (std::size_t i = 0; i < 2; ++i) {
      run.report.hold("async: pairs/s of 64 coroutines, " + measured[i].name + ", " + way + ", x 64 threads",
                      median(ratios(measured[i], measured[2])), {Bar::Kind::at_least, 2.2});
      run.report.hold("the same by processor time, client's and server's", costs[2].a_pair() / costs.at(i).a_pair(),
                      {Bar::Kind::at_least, 2.2});
    }
  }
  run.report.add(std::move(table));
}

// ---- alone ----------------------------------------------------------------------------------------------------------

Detached take_alone(const AsyncMutex& mutex, int pairs, std::vector<double>& figures, std::latch& over) {
  auto before = Clock::now();
  for (int i = 0; i < pairs; ++i) {
    AsyncLock lock = co_await mutex.acquire_lock("bench:async");
    co_await lock.release();
    const auto after = Clock::now();
    figures.push_back(Microseconds{after - before}.count());
    before = after;
  }
  over.count_down();
}

Contender lone_in_asio(std::shared_ptr<AsioSite> site, int pairs) {
  return {"Asio", [site = std::move(site), pairs](std::vector<double>& figures) {
            std::latch over{1};
            site->take_and_give("bench:async", [&figures, &over, pairs, made = 0, before = Clock::now()]() mutable {
              const auto after = Clock::now();
              figures.push_back(Microseconds{after - before}.count());
              before = after;
              if (++made < pairs) return true;
              over.count_down();
              return false;
            });
            over.wait();
          }};
}

Contender lone_coroutine(std::shared_ptr<Site> site, int pairs) {
  return {"posted", [site = std::move(site), pairs](std::vector<double>& figures) {
            std::latch over{1};
            take_alone(site->mutex, pairs, figures, over);
            over.wait();
          }};
}

void measure_alone(Run& run) {
  constexpr int rounds = 50;
  constexpr int pairs = 200;
  Table table{"async",
              "One takes a free lock and gives it back; " + std::to_string(rounds) + " rounds of " +
                  std::to_string(pairs) + " pairs, in turns",
              {"way", "who", "median us", "p99 us", "x thread", "p25", "p75"}};
  for (const auto& [way, url] : run.ways()) {
    run.report.say("async: a lone pair over " + way);
    const auto measured = alternate(
        {lone_in_asio(std::make_shared<AsioSite>(url), pairs), lone_coroutine(std::make_shared<Site>(url), pairs),
         latency_of("thread", pairs, "bench:async", make_locker("ours", url))},
        rounds);
    for (const Measured& who : measured) {
      const auto times = ratios(who, measured[2]);
      table.rows.push_back({way,
                            who.name,
                            {median(who.figures), 1},
                            {percentile(who.figures, 0.99), 1},
                            {median(times), 3},
                            {percentile(times, 0.25), 3},
                            {percentile(times, 0.75), 3}});
    }
    run.report.hold("async: a lone pair in Asio, " + way + ", x a thread's", median(ratios(measured[0], measured[2])),
                    {Bar::Kind::at_most, 1.1});
    run.report.hold("async: a lone pair, posted, " + way + ", x a thread's", median(ratios(measured[1], measured[2])),
                    {Bar::Kind::at_most, 1.45});
  }
  run.report.add(std::move(table));
}

// ---- ten thousand ---------------------------------------------------------------------------------------------------

/// In use, of what malloc has given out.
double heap_size() {
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

struct Turns {
  int inside = 0;  // of the loop's thread
  int overlaps = 0;
  std::latch left{many};
};

Detached take_turns(const AsyncMutex& mutex, std::string key, int turns, Turns& all) {
  for (int i = 0; i < turns; ++i) {
    AsyncLock lock = co_await mutex.acquire_lock(key);
    if (++all.inside > 1) ++all.overlaps;
    --all.inside;
    co_await lock.release();
  }
  all.left.count_down();
}

Options patient() { return {.block_time = 120s, .delay = 500ms, .expiry = 121s}; }

void measure_one_key(Run& run) {
  constexpr int rounds = 5;
  constexpr int turns = 50;
  run.report.say("async: " + std::to_string(many) + " coroutines on one key");
  const std::string key = "bench:async:one";
  std::vector<double> turns_a_second, bytes, microseconds;
  for (int round = 0; round < rounds; ++round) {
    Site site{run.server.url(), patient()};
    auto held = RedisMutex{Connection{run.server.url()}, patient()}.acquire_lock(key);
    Turns all;
    const double before = heap_size();
    for (int i = 0; i < many; ++i) take_turns(site.mutex, key, turns, all);
    if (!testing::eventually(10s, [&] { return run.server.exists("redismutex:{" + key + "}"); })) {
      throw std::runtime_error{"they do not wait"};
    }
    bytes.push_back((heap_size() - before) / many);
    const auto start = Clock::now();
    const Seconds busy = processor_time();
    held.release();
    all.left.wait();
    turns_a_second.push_back(many * turns / Seconds{Clock::now() - start}.count());
    microseconds.push_back(Microseconds{processor_time() - busy}.count() / (many * turns));
    if (all.overlaps > 0) throw std::runtime_error{"two were inside at once"};
  }
  Table table{
      "async",
      std::to_string(many) + " coroutines of one loop take turns on one key; medians of " + std::to_string(rounds),
      {"turns/s", "processor us a turn", "bytes each, waiting"}};
  table.rows.push_back({{median(turns_a_second), 0}, {median(microseconds), 2}, {median(bytes), 0}});
  run.report.add(std::move(table));
  run.report.hold("async: turns/s of 10,000 coroutines on one key", median(turns_a_second),
                  {Bar::Kind::at_least, 500'000});
  run.report.hold("async: bytes of each", median(bytes), {Bar::Kind::at_most, 2'500});
}

void measure_waiting(Run& run) {
  constexpr auto length = 10s;
  run.report.say("async: " + std::to_string(many) + " coroutines with a key each");
  const RedisMutex holder{Connection{run.server.url()}, patient()};
  std::vector<Lock> held;
  const auto key = [](int i) { return "bench:async:" + std::to_string(i); };
  held.reserve(many);
  for (int i = 0; i < many; ++i) held.push_back(holder.acquire_lock(key(i)));
  const auto keys = [&] { return run.server.command({"DBSIZE"}).integer; };
  const auto keys_before = keys();
  Site site{run.server.url(), patient()};
  Turns all;
  const double before = heap_size();
  for (int i = 0; i < many; ++i) take_turns(site.mutex, key(i), 1, all);
  if (!testing::eventually(60s, [&] { return keys() >= keys_before + many; }))
    throw std::runtime_error{"they do not wait"};
  std::this_thread::sleep_for(2s);  // until they have found their rhythm
  const double bytes = (heap_size() - before) / many;
  const Seconds busy = processor_time();
  std::this_thread::sleep_for(length);
  const double percent = 100 * (processor_time() - busy) / Seconds{length};
  const auto start = Clock::now();
  for (Lock& lock : held) lock.release();
  all.left.wait();
  const double hand_over = Microseconds{Clock::now() - start}.count() / many;
  Table table{"async",
              std::to_string(many) +
                  " coroutines wait, each for a lock of its own, with a delay of 500 ms, for 10 s; then they get it",
              {"% of a processor", "bytes each", "us each, at the end"}};
  table.rows.push_back({{percent, 2}, {bytes, 0}, {hand_over, 1}});
  run.report.add(std::move(table));
  run.report.hold("async: 10,000 waiting coroutines, % of a processor", percent, {Bar::Kind::at_most, 3});
}

}  // namespace

void run_async(Run& run) {
  measure_many_at_a_time(run);
  measure_alone(run);
  measure_one_key(run);
  measure_waiting(run);
}

}  // namespace redismutex::bench
