#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "modes.hpp"
#include "support/eventually.hpp"

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr long count = 10'000;
constexpr auto expiry = 10s;
constexpr auto length = 30s;
constexpr auto limit = 60s;
constexpr Bar command_bar{Bar::Kind::at_most, 100};
constexpr Bar processor_bar{Bar::Kind::at_most, 3};
constexpr Bar loss_bar{Bar::Kind::at_most, 0};

struct Counter final : Observer {
  std::atomic<long> renewals{0}, losses{0};

  void lease_renewed(const LeaseRenewed& /*event*/) noexcept override { ++renewals; }
  void lock_lost(const LockLost& /*event*/) noexcept override { ++losses; }
};

/// What can be read at any time, to be compared with a later reading.
struct Reading {
  steady_clock::time_point time = steady_clock::now();
  double processor_seconds = 0;
  long commands = 0;
  long renewals = 0;
};

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1'000'000;
}

Reading read(Run& run, const Counter& counter) {
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  return {.processor_seconds = seconds(own.ru_utime) + seconds(own.ru_stime),
          .commands = run.server.command_calls()["evalsha"],
          .renewals = counter.renewals};
}

}  // namespace

void run_leases(Run& run) {
  run.report.say("leases: taking " + std::to_string(count) + ", then watching for 30 s");
  const auto counter = std::make_shared<Counter>();
  ConnectionOptions options = parse_url(run.server.url());
  options.observer = counter;
  const RedisMutex mutex{Connection{options}, {.blocking = false, .expiry = expiry, .auto_renew = true}};
  std::vector<Lock> locks;
  for (long i = 0; i < count; ++i) locks.push_back(mutex.acquire_lock("bench:leases:" + std::to_string(i)));
  // The first visit to each is soon after it was taken; from then on they go together.
  if (!testing::eventually(limit, [&] { return counter->renewals >= count; })) {
    throw std::runtime_error{"leases are not renewed"};
  }

  const Reading before = read(run, *counter);
  std::this_thread::sleep_for(length);
  const Reading after = read(run, *counter);
  long lost = 0;
  for (const Lock& lock : locks) lost += lock.owns_lock() ? 0 : 1;

  const double rounds = static_cast<double>(after.renewals - before.renewals) / count;
  const double commands = static_cast<double>(after.commands - before.commands) / rounds;
  const double processor = 100 * (after.processor_seconds - before.processor_seconds) /
                           std::chrono::duration<double>{after.time - before.time}.count();
  Table table{"leases",
              std::to_string(count) + " leases of 10 s on one connection, kept alive for 30 s",
              {"rounds", "commands a round", "% of a processor", "lost"},
              {{{rounds, 1}, {commands, 1}, {processor, 2}, {static_cast<double>(lost), 0}}}};
  run.report.add(std::move(table));
  run.report.hold("commands to renew 10,000 leases once", commands, command_bar);
  run.report.hold("keeping 10,000 leases, % of a processor", processor, processor_bar);
  run.report.hold("leases lost", static_cast<double>(lost + counter->losses), loss_bar);
}

}  // namespace redismutex::bench
