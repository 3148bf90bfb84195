#include "bench.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "look.hpp"
#include "server_facts.hpp"
#include "shared/duration.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr auto bench_usage = R"(Examples:
  redismutex bench
  redismutex bench --seconds 30 --waiters 64 --json

Usage: redismutex bench [OPTIONS]
)";
constexpr auto bench_details =
    R"(Measures on a key of its own, redismutex-bench:..., and leaves nothing behind:
  ping        the bare round trip: nothing can be faster
  pair        taking a free lock and giving it back, as one
  hand-over   from the release by one waiter until the next is inside
It keeps the server busy meanwhile. Not for a replica.

Exit status: 0, or
   64  usage error, or no server named    77  login refused
   69  server unreachable              128+N  signal N ended it
   70  refused, as by a replica)";

struct BenchOptions {
  std::chrono::milliseconds duration{5000};
  int waiters = 8;
  bool json = false;
};

volatile std::sig_atomic_t bench_ends = 0;

void note_interruption(int signal) { bench_ends = signal; }

/// The durations of one kind of thing, each measured by itself.
struct Sample {
  std::string name;
  std::vector<nanoseconds> times;
  nanoseconds took{0};  // all together

  nanoseconds at(double share) const {
    if (times.empty()) return nanoseconds{0};
    return times[std::min(times.size() - 1, static_cast<std::size_t>(share * static_cast<double>(times.size())))];
  }

  double per_second() const {
    return took > 0ns ? static_cast<double>(times.size()) / std::chrono::duration<double>{took}.count() : 0;
  }
};

template <class Function>
Sample measure(const std::string& name, Clock::duration duration, const Function& once) {
  Sample sample{.name = name, .times = {}};
  const auto began = Clock::now();
  auto before = began;
  while (bench_ends == 0 && before < began + duration) {
    once();
    const auto now = Clock::now();
    sample.times.push_back(now - before);
    before = now;
  }
  sample.took = Clock::now() - began;
  std::sort(sample.times.begin(), sample.times.end());
  return sample;
}

/// Waiters that pass one lock on among themselves, each with a connection of its own, as processes have.
class HandOvers {
 public:
  HandOvers(const ConnectionOptions& server, std::string key, int waiters) : key_{std::move(key)} {
    for (int i = 0; i < waiters; ++i) mutexes_.emplace_back(Connection{server}, Options{.local_handoffs = 0});
  }

  Sample measure(Clock::duration duration) {
    Sample sample{.name = "hand-over", .times = {}};
    const auto began = Clock::now();
    std::vector<std::vector<nanoseconds>> times(mutexes_.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < mutexes_.size(); ++i) {
      threads.emplace_back([&, i] { wait_in_turn(mutexes_[i], began + duration, times[i]); });
    }
    for (auto& thread : threads) thread.join();
    sample.took = Clock::now() - began;
    for (const auto& each : times) sample.times.insert(sample.times.end(), each.begin(), each.end());
    std::sort(sample.times.begin(), sample.times.end());
    if (failure_) std::rethrow_exception(failure_);
    return sample;
  }

 private:
  void wait_in_turn(const RedisMutex& mutex, Clock::time_point end, std::vector<nanoseconds>& times) noexcept {
    try {
      while (bench_ends == 0 && !failed_ && Clock::now() < end) {
        auto lock = mutex.try_acquire_lock_for(key_, 1s);
        if (!lock) continue;
        const auto now = Clock::now();
        if (released_at_ != Clock::time_point{}) times.push_back(now - released_at_);
        released_at_ = Clock::now();  // inside the lock: nobody else touches it
        lock->release();
      }
    } catch (...) {
      if (!failed_.exchange(true)) failure_ = std::current_exception();
    }
  }

  const std::string key_;
  std::deque<RedisMutex> mutexes_;
  Clock::time_point released_at_{};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;  // written once, and read when the threads have ended
};

/// The seconds of a processor that the server has used since it began; none if it does not tell.
std::optional<double> processor_seconds(const Connection& connection) {
  const auto facts = read_facts(connection);
  if (facts.info("used_cpu_user").empty()) return std::nullopt;
  return std::strtod(facts.info("used_cpu_user").c_str(), nullptr) +
         std::strtod(facts.info("used_cpu_sys").c_str(), nullptr);
}

/// Others who keep the server busy would be measured, too; and would be kept waiting.
void warn_if_busy(const Connection& connection) {
  constexpr auto a_while = 300ms;
  constexpr double much = 0.2;
  const auto before = processor_seconds(connection);
  if (!before) return;
  std::this_thread::sleep_for(a_while);
  const double used =
      (processor_seconds(connection).value_or(*before) - *before) / std::chrono::duration<double>{a_while}.count();
  if (used > much) {
    say("the server is busy without us (" + std::to_string(static_cast<int>(used * 100)) +
        " % of a processor): the figures say little, and its users have to wait");
  }
}

double in_microseconds(nanoseconds duration) { return std::chrono::duration<double, std::micro>{duration}.count(); }

void print_bench(const std::vector<Sample>& samples) {
  std::cout << "             p50 us     p99 us     max us   per second\n" << std::fixed;
  for (const auto& sample : samples) {
    std::cout << std::left << std::setw(10) << sample.name << std::right << std::setprecision(1);
    for (const auto time : {sample.at(0.5), sample.at(0.99), sample.at(1)}) {
      std::cout << std::setw(10) << in_microseconds(time) << ' ';
    }
    std::cout << std::setprecision(0) << std::setw(11) << sample.per_second() << '\n';
  }
}

void print_bench_json(const std::vector<Sample>& samples, const std::string& server, int waiters) {
  const auto seconds = [](nanoseconds time) { return std::chrono::duration<double>{time}.count(); };
  nlohmann::ordered_json all{{"schema", 1}, {"server", server}, {"waiters", waiters}};
  for (const auto& sample : samples) {
    auto name = sample.name;
    std::replace(name.begin(), name.end(), '-', '_');
    all[name] = {{"count", sample.times.size()},
                 {"p50_seconds", seconds(sample.at(0.5))},
                 {"p99_seconds", seconds(sample.at(0.99))},
                 {"max_seconds", seconds(sample.at(1))},
                 {"per_second", sample.per_second()}};
  }
  std::cout << all.dump() << '\n';
}

int run_bench(const BenchOptions& options, const ServerOption& server) {
  Lookout lookout{server};
  lookout.ask_for_role();
  refuse_replica(lookout.server());
  const Connection& connection = lookout.connection();
  warn_if_busy(connection);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, note_interruption);
  const auto key = "redismutex-bench:" + unique_text();
  const auto part = std::chrono::duration_cast<Clock::duration>(options.duration) / 3;
  const RedisMutex mutex{connection, {.blocking = false}};

  std::vector<Sample> samples;
  samples.push_back(measure("ping", part, [&] { connection.ping(); }));
  samples.push_back(measure("pair", part, [&] { mutex.acquire_lock(key).release(); }));
  samples.push_back(HandOvers{server.options(), key, options.waiters}.measure(part));
  if (bench_ends != 0) return exit_status::ended_by_signal(bench_ends);
  if (options.json) {
    print_bench_json(samples, server.name(), options.waiters);
  } else {
    print_bench(samples);
  }
  return 0;
}

}  // namespace

Run add_bench(CLI::App& app, const ServerOption& server) {
  set_help(app, bench_usage, std::string{where_the_url_is} + "\n\n" + bench_details);
  const auto options = std::make_shared<BenchOptions>();
  add_duration(
      app, "--seconds", {100ms, 1h}, [options](std::chrono::milliseconds said) { options->duration = said; },
      "how long all of it takes; default 5");
  app.add_option_function<std::string>(
         "--waiters",
         [options](const std::string& text) {
           constexpr int most = 256;
           options->waiters = parse_number("--waiters", text, 2, most);
         },
         "how many wait for the lock that is handed over; default 8")
      ->type_name("N");
  app.add_flag("--json", options->json, "print a JSON object");
  return [options, &server] { return run_bench(*options, server); };
}

}  // namespace redismutex::cli
