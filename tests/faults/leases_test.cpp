// Many leases of one connection are renewed together; bench/leases.cpp measures ten times as many.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "support/server.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

constexpr auto limit = 60s;

struct Counter final : Observer {
  std::atomic<long> renewals{0}, losses{0};

  void lease_renewed(const LeaseRenewed& /*event*/) noexcept override { ++renewals; }
  void lock_lost(const LockLost& /*event*/) noexcept override { ++losses; }
};

TEST(Leases, AreRenewedByTheHundredAndNoneIsLost) {
  constexpr long count = 1000, rounds = 3;
  testing::Server server;
  const auto counter = std::make_shared<Counter>();
  ConnectionOptions options = parse_url(server.url());
  options.observer = counter;
  const RedisMutex mutex{Connection{options}, {.blocking = false, .expiry = 4s, .auto_renew = true}};
  std::vector<Lock> locks;
  for (long i = 0; i < count; ++i) locks.push_back(mutex.acquire_lock("lock:" + std::to_string(i)));
  // The first visit to each is soon after it was taken; from then on they go together.
  ASSERT_TRUE(eventually(limit, [&] { return counter->renewals >= count; }));

  const long renewals_before = counter->renewals;
  const long commands_before = server.command_calls()["evalsha"];
  ASSERT_TRUE(eventually(limit, [&] { return counter->renewals - renewals_before >= rounds * count; }));
  const long commands = server.command_calls()["evalsha"] - commands_before;
  const long renewals = counter->renewals - renewals_before;
  std::cout << commands << " commands for " << renewals << " renewals\n";
  EXPECT_LE(commands, renewals / 100 + 1) << "one for the answer that was not counted yet";
  EXPECT_EQ(counter->losses, 0);
  for (const Lock& lock : locks) EXPECT_TRUE(lock.owns_lock());
}

}  // namespace
}  // namespace redismutex::faults
