#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "modes.hpp"
#include "statistics.hpp"
#include "support/channel.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "turns.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using testing::Channel;
using testing::ChildProcess;

constexpr int rounds = 11;
constexpr auto limit = 30s;
const Options waiting{.block_time = 60s, .expiry = 61s};
const std::string key = "bench:recovery";

double ms_since(Nanoseconds then, Nanoseconds now) { return static_cast<double>(now - then) / 1e6; }

/// Processes and threads that tell when they are inside.
class Scene {
 public:
  explicit Scene(testing::Server& server) : server_{server}, url_{server.url()} {}

  /// A process that tells when it is inside, and then waits to be killed.
  ChildProcess process(const Options& options = waiting) const {
    return ChildProcess{[this, options] {
      const auto lock = RedisMutex{Connection{url_}, options}.acquire_lock(key);
      entered_.send(std::to_string(monotonic_now()));
      for (;;) ::pause();
      return 0;
    }};
  }

  Nanoseconds entry() {
    const auto line = entered_.receive(limit);
    if (!line) throw std::runtime_error{"nobody got in"};
    return std::stoll(*line);
  }

  void until_in_line(long long count) {
    if (!testing::eventually(limit, [&] { return in_line() == count; })) throw std::runtime_error{"they do not wait"};
  }

  void until_watched() {
    if (!testing::eventually(limit, [&] { return server_.info("stats")["tracking_total_keys"] != "0"; })) {
      throw std::runtime_error{"nobody watches the key"};
    }
  }

  testing::Server& server() { return server_; }
  const std::string& url() const { return url_; }

 private:
  long long in_line() { return server_.command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2; }

  testing::Server& server_;
  const std::string url_;
  Channel entered_;
};

/// From the end of the lease.
double holder_is_killed(Scene& scene) {
  const ChildProcess holder = scene.process({.block_time = 250ms, .delay = 100ms, .expiry = 300ms});
  scene.entry();
  const ChildProcess next = scene.process();
  const Nanoseconds end =
      monotonic_now() + std::chrono::nanoseconds{std::chrono::milliseconds{scene.server().pttl(key)}}.count();
  holder.kill(SIGKILL);
  return ms_since(end, scene.entry());
}

/// From the release. `harm` is done to the one that is next in line.
double next_is_harmed(Scene& scene, const std::function<void(const ChildProcess&)>& harm) {
  auto lock = RedisMutex{Connection{scene.url()}, waiting}.acquire_lock(key);
  const ChildProcess next = scene.process();
  scene.until_in_line(1);
  const ChildProcess after = scene.process();
  scene.until_in_line(2);
  harm(next);
  const Nanoseconds released_at = monotonic_now();
  lock.release();
  return ms_since(released_at, scene.entry());
}

/// From the foreign client's DEL.
double key_is_deleted(Scene& scene) {
  const auto lock = RedisMutex{Connection{scene.url()}, waiting}.acquire_lock(key);
  const ChildProcess next = scene.process();
  scene.until_in_line(1);
  scene.until_watched();
  const Nanoseconds deleted_at = monotonic_now();
  scene.server().command({"DEL", key});
  return ms_since(deleted_at, scene.entry());
}

double key_is_deleted_between_threads(Scene& scene) {
  const RedisMutex mutex{Connection{scene.url()}, waiting};
  const auto lock = mutex.acquire_lock(key);
  Nanoseconds entered_at = 0;
  std::jthread next{[&] {
    const auto inside = mutex.acquire_lock(key);
    entered_at = monotonic_now();
  }};
  scene.until_watched();
  const Nanoseconds deleted_at = monotonic_now();
  scene.server().command({"DEL", key});
  next.join();
  return ms_since(deleted_at, entered_at);
}

void kill_it(const ChildProcess& process) {
  process.kill(SIGKILL);
  process.wait(limit);
}

void stop_it(const ChildProcess& process) { process.pause(); }

}  // namespace

void run_recovery(Run& run) {
  struct Case {
    std::string what;
    double bar_ms;
    std::function<double(Scene&)> measure;
  };
  const std::vector<Case> cases{
      {"holder killed -9: from the end of its lease", 50, holder_is_killed},
      {"next in line killed -9: the one after it, from the release", 1500,
       [](Scene& scene) { return next_is_harmed(scene, kill_it); }},
      {"next in line stands still: the same", 1500, [](Scene& scene) { return next_is_harmed(scene, stop_it); }},
      {"key deleted by a stranger: the first waiter", 50, key_is_deleted},
      {"the same, holder and waiter threads of one process", 50, key_is_deleted_between_threads},
  };
  Table table{"recovery",
              "Until the next one is inside, ms; " + std::to_string(rounds) + " times each; unix socket",
              {"what happens", "median", "longest", "bar"}};
  for (const Case& one : cases) {
    run.report.say("recovery: " + one.what);
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) {
      Scene scene{run.server};
      times.push_back(one.measure(scene));
      run.server.command({"FLUSHALL"});
    }
    table.rows.push_back({one.what, {median(times), 2}, {percentile(times, 1), 2}, {one.bar_ms, 0}});
    run.report.hold(one.what + ", ms", median(times), {Bar::Kind::at_most, one.bar_ms});
  }
  run.report.add(std::move(table));
}

}  // namespace redismutex::bench
