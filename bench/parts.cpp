#include "parts.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "crowd.hpp"
#include "grants.hpp"
#include "latency.hpp"
#include "many_connections.hpp"
#include "statistics.hpp"
#include "turns.hpp"
#include "waiters.hpp"
#include "wakings.hpp"

namespace redismutex::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int warm_up = 300;  // pairs

void print(const std::string& name, double value) { std::cout << name << ' ' << value << std::endl; }

}  // namespace

struct Parts::Wanted {
  MakeLockers make_lockers;
  std::string client, url, key, go;
  int pairs = 0, connections = 1, threads = 1, grants = 0;
  long hold_us = 0, pause_us = 0, length_ms = 0, delay_ms = 0;
  std::vector<int> taking_part{};
  std::vector<std::pair<CLI::App*, std::function<void()>>> parts{};

  CLI::App& add(CLI::App& program, const std::string& name, const std::string& description, std::function<void()> run) {
    CLI::App* const part = program.add_subcommand(name, description)->group("");
    parts.emplace_back(part, std::move(run));
    return *part;
  }

  /// A part that is about one kind of locker.
  CLI::App& add_for_client(CLI::App& program, const std::string& name, const std::string& description,
                           std::function<void()> run) {
    CLI::App& part = add(program, name, description, std::move(run));
    part.add_option("client", client)->required();
    part.add_option("url", url)->required();
    return part;
  }

  std::unique_ptr<Locker> locker() const { return std::move(make_lockers(client, url, 1, 1).front()); }

  void work(Locker& locker, int times) const {
    for (int pair = 0; pair < times; ++pair) locker.lock_and_unlock("bench:pairs");
  }

  void do_pairs() const { work(*locker(), pairs); }

  void time_pairs() const {
    const std::shared_ptr<Locker> one = locker();
    work(*one, warm_up);
    std::vector<double> figures;
    latency_of(client, pairs, "bench:pairs", one).measure(figures);
    print("pair_us", median(figures));
  }

  void count_allocations() const {
    const auto one = locker();
    work(*one, warm_up);
    const AllocationCount count;
    work(*one, pairs);
    print("allocations", static_cast<double>(count.so_far()) / pairs);
  }

  void work_in_threads() const {
    const Lockers crowd = make_lockers(client, url, connections, threads);
    work_together(crowd, std::min(milliseconds{length_ms}, milliseconds{100}));  // connects, too
    std::clock_t cpu = 0;
    const Throughput done = work_together(crowd, milliseconds{length_ms}, [&] { cpu = std::clock(); });
    print("pairs", done.pairs);
    print("pairs_a_second", done.a_second());
    print("cpu_us", static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC * 1e6 / done.pairs);
  }

  void do_turns() const {
    take_turns(make_lockers(client, url, connections, threads),
               {key, microseconds{hold_us}, microseconds{pause_us}, go, taking_part});
  }

  void hold_many_connections() const {
    const Footprint footprint = use_connections(url, connections);
    print("descriptors", footprint.descriptors);
    print("threads", footprint.threads);
  }

  void be_granted() const {
    const Grants measured = measure_grants(url, threads, grants);
    print("waiting", measured.waiting);
    print("grant_us", measured.cpu_us);
  }

  void be_woken() const { print("waking_us", measure_wakings(threads, grants)); }

  [[noreturn]] void wait_in_line() const {
    const Waiters waiters{url, threads, milliseconds{delay_ms}};
    print("waiting", waiters.count());
    print("process", waiters.process());
    for (;;) ::pause();
  }
};

Parts::Parts(CLI::App& program, MakeLockers make_lockers) : wanted_{std::make_unique<Wanted>()} {
  Wanted& wanted = *wanted_;
  wanted.make_lockers = std::move(make_lockers);
  const auto part = [&](const char* name, const char* description, void (Wanted::*work)() const) -> CLI::App& {
    return wanted.add(program, name, description, [&wanted, work] { (wanted.*work)(); });
  };
  const auto part_for_client = [&](const char* name, const char* description,
                                   void (Wanted::*work)() const) -> CLI::App& {
    return wanted.add_for_client(program, name, description, [&wanted, work] { (wanted.*work)(); });
  };
  const auto positive = CLI::Range(1, 1'000'000);

  part_for_client("do-pairs", "take a free lock and give it back, and nothing else", &Wanted::do_pairs)
      .add_option("pairs", wanted.pairs)
      ->required();
  part_for_client("time-pairs", "the median time of a pair", &Wanted::time_pairs)
      .add_option("pairs", wanted.pairs)
      ->required()
      ->check(positive);
  part_for_client("count-allocations", "calls of malloc, calloc and realloc for a pair", &Wanted::count_allocations)
      .add_option("pairs", wanted.pairs)
      ->required()
      ->check(positive);

  CLI::App& threads =
      part_for_client("work-in-threads", "pairs a second of threads with a key each", &Wanted::work_in_threads);
  threads.add_option("threads", wanted.threads, "over each connection")->required()->check(positive);
  threads.add_option("length", wanted.length_ms, "in ms")->required()->check(positive);
  threads.add_option("connections", wanted.connections)->check(positive);

  CLI::App& turns = part_for_client("take-turns", "many at one key, see take_turns()", &Wanted::do_turns);
  turns.add_option("key", wanted.key)->required();
  turns.add_option("hold", wanted.hold_us, "in us")->required();
  turns.add_option("pause", wanted.pause_us, "in us")->required();
  turns.add_option("go", wanted.go, "the file to wait for")->required();
  turns.add_option("connections", wanted.connections)->required()->check(positive);
  turns.add_option("threads", wanted.threads, "over each")->required()->check(positive);
  turns.add_option("taking-part", wanted.taking_part);

  CLI::App& connections =
      part("use-connections", "what many Connections take of this machine", &Wanted::hold_many_connections);
  connections.add_option("url", wanted.url)->required();
  connections.add_option("connections", wanted.connections)->required()->check(positive);

  CLI::App& grants =
      part("be-granted", "processor time of a process in which many threads wait, for a grant", &Wanted::be_granted);
  grants.add_option("url", wanted.url)->required();
  grants.add_option("threads", wanted.threads)->required()->check(positive);
  grants.add_option("grants", wanted.grants)->required()->check(positive);

  CLI::App& wakings = part("be-woken", "the same for a thread that is woken, and does nothing else", &Wanted::be_woken);
  wakings.add_option("threads", wanted.threads)->required()->check(positive);
  wakings.add_option("wakings", wanted.grants)->required()->check(positive);

  CLI::App& line = part("wait-in-line", "threads of another process that wait, a key each, until this one is killed",
                        &Wanted::wait_in_line);
  line.add_option("url", wanted.url)->required();
  line.add_option("threads", wanted.threads)->required()->check(positive);
  line.add_option("delay", wanted.delay_ms, "in ms")->required()->check(positive);
}

Parts::~Parts() = default;

bool Parts::run() const {
  for (const auto& [part, run] : wanted_->parts) {
    if (!part->parsed()) continue;
    run();
    return true;
  }
  return false;
}

}  // namespace redismutex::bench
