// Whoever asks for lost_token() hears of a loss before the server gives the lock to anybody else, and soon after a deletion.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <iostream>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "support/proxy.hpp"
#include "support/server.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::system_clock;
using testing::eventually;
using testing::Server;

constexpr int losses = 200;
constexpr auto losses_limit = 30s;
constexpr milliseconds expiry = 5s;  // 52 ms of which are not relied on: what a busy machine may be late
constexpr int most_rounds = 3;       // for one in which it was not later

/// A lock, and when its holder heard of the loss, on the wall clock that the server shares.
class Watched {
 public:
  Watched(const RedisMutex& mutex, const std::string& key)
      : lock_{mutex.acquire_lock(key)}, told_{lock_.lost_token(), Teller{this}} {}

  const std::string& key() const { return lock_.key(); }
  bool was_told() const { return told_at_.load() != never; }
  system_clock::time_point told_at() const { return told_at_; }

 private:
  static constexpr auto never = system_clock::time_point::max();

  struct Teller {
    Watched* watched;
    void operator()() const { watched->told_at_ = system_clock::now(); }
  };

  Lock lock_;
  std::atomic<system_clock::time_point> told_at_{never};
  std::stop_callback<Teller> told_;
};

using Locks = std::deque<Watched>;

void take(Locks& locks, const RedisMutex& mutex, int count) {
  for (int i = 0; i < count; ++i) locks.emplace_back(mutex, "lock:" + std::to_string(locks.size()));
}

bool all_told(const Locks& locks) {
  return eventually(losses_limit, [&] {
    return std::all_of(locks.begin(), locks.end(), [](const auto& each) { return each.was_told(); });
  });
}

/// When the server ends each lease.
std::vector<system_clock::time_point> ends_of(const Locks& locks, Server& server) {
  std::vector<system_clock::time_point> ends;
  for (const Watched& watched : locks) {
    ends.emplace_back(milliseconds{server.command({"PEXPIRETIME", watched.key()}).integer});
  }
  return ends;
}

/// Half of the locks end because nobody renews them, half because their renewals do not get through any more. Returns how
/// many holders heard of it only when the server's lease had ended; none if somebody never did.
std::optional<int> told_late(Server& server) {
  testing::Proxy proxy{server};
  const Connection direct{server.url()}, proxied{proxy.url()};
  const RedisMutex lapsing{direct, {.blocking = false, .expiry = expiry}};
  const RedisMutex renewed{proxied, {.blocking = false, .expiry = expiry, .auto_renew = true}};
  Locks locks;
  take(locks, renewed, losses / 2);
  take(locks, lapsing, losses / 2);
  proxy.freeze();
  const auto ends = ends_of(locks, server);
  if (!all_told(locks)) return std::nullopt;
  int late = 0;
  for (std::size_t i = 0; i < locks.size(); ++i) {
    if (locks[i].told_at() >= ends[i]) ++late;
  }
  proxy.pass();
  return late;
}

TEST(Losses, AreToldBeforeTheServersLeaseEnds) {
  Server server;
  std::optional<int> late;
  for (int round = 0; round < most_rounds && late != 0; ++round) {
    late = told_late(server);
    ASSERT_TRUE(late) << "a holder was never told";
    std::cout << *late << " of " << losses << " were told late\n";
  }
  EXPECT_EQ(late, 0);
}

/// Deletes the locks one after another; how long each holder took to hear of it.
std::vector<system_clock::duration> delays_after_deletion(Server& server) {
  const Connection connection{server.url()};
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 10 * losses_limit}};
  Locks locks;
  take(locks, mutex, losses);
  const auto all_tracked = [&] { return std::stoi(server.info("stats")["tracking_total_keys"]) >= losses; };
  if (!eventually(losses_limit, all_tracked)) return {};
  std::vector<system_clock::duration> delays;
  for (const Watched& watched : locks) {
    const auto before = system_clock::now();
    server.command({"DEL", watched.key()});
    if (!eventually(losses_limit, [&] { return watched.was_told(); })) return {};
    delays.push_back(watched.told_at() - before);
  }
  return delays;
}

TEST(Losses, AreToldSoonAfterADeletion) {
  Server server;
  system_clock::duration longest = losses_limit;
  for (int round = 0; round < most_rounds && longest > 50ms; ++round) {
    auto delays = delays_after_deletion(server);
    ASSERT_EQ(delays.size(), std::size_t{losses}) << "a holder was never told";
    std::sort(delays.begin(), delays.end());
    longest = delays.back();
    const auto us = [](auto duration) { return duration_cast<std::chrono::microseconds>(duration).count(); };
    std::cout << "told after " << us(delays[losses / 2]) << " us in the middle, " << us(longest) << " us at most\n";
  }
  EXPECT_LE(longest, system_clock::duration{50ms});
}

}  // namespace
}  // namespace redismutex::faults
