// A slot moves from one server to another, with locks held and awaited in it.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cluster/with_cluster.hpp"
#include "protocol/slot.hpp"
#include "support/exclusion_witness.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

/// Some who lock and unlock one key all the time, in two processes as far as the server can tell.
class Load {
 public:
  Load(const std::string& url, const std::string& key, bool fencing)
      : mutexes_{RedisMutex{Connection{url}, options(fencing)}, RedisMutex{Connection{url}, options(fencing)}} {
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this, i, key, fencing] {
        while (!over_) turn(mutexes_.at(static_cast<std::size_t>(i % 2)), key, fencing);
      });
    }
  }
  ~Load() { end(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void end() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  /// Each goes on.
  bool goes_on() const {
    const int before = turns_;
    return eventually(limit, [&] { return turns_ >= before + 8; });
  }

  int most_inside() const { return witness_.most_inside(); }
  int failures() const { return failures_; }
  int regressions() const { return regressions_; }

 private:
  static Options options(bool fencing) {
    return {.block_time = limit, .delay = 100ms, .expiry = 2 * limit, .fencing = fencing};
  }

  void turn(const RedisMutex& mutex, const std::string& key, bool fencing) {
    try {
      auto lock = mutex.acquire_lock(key);
      witness_.enter();
      if (fencing && *lock.fencing_token() <= last_token_.exchange(*lock.fencing_token())) ++regressions_;
      witness_.leave();
      lock.release();
      ++turns_;
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
      ++failures_;
    }
  }

  std::vector<RedisMutex> mutexes_;
  ExclusionWitness witness_;
  std::atomic<bool> over_{false};
  std::atomic<int> turns_{0}, failures_{0}, regressions_{0};
  std::atomic<std::uint64_t> last_token_{0};
  std::vector<std::thread> threads_;
};

struct Resharding : WithCluster {
  const std::string key = keys_of_many_slots(1, "moves ").front();
  const std::uint16_t slot = protocol::slot_of(key);
  Server& home = cluster.master_of(slot);
  Server& away = cluster.masters().front() == &home ? *cluster.masters().back() : *cluster.masters().front();

  std::string beside(const std::string& name) const { return name + " {" + key + "}"; }
};

TEST_F(Resharding, KeyByKeyUnderLoad) {
  Load load{cluster.url(), key, false};
  auto renewed = RedisMutex{connection, {.expiry = 2s, .auto_renew = true}}.acquire_lock(beside("renewed"));
  const auto lost = renewed.lost_token();
  ASSERT_TRUE(load.goes_on());
  for (Server* to : {&away, &home, &away, &home}) {
    cluster.move_slot(slot, *to, [&] { EXPECT_TRUE(load.goes_on()) << "while all is under way"; });
    EXPECT_TRUE(load.goes_on());
    EXPECT_FALSE(lost.stop_requested());
  }
  load.end();
  EXPECT_EQ(load.most_inside(), 1);
  EXPECT_EQ(load.failures(), 0);
  EXPECT_NO_THROW(renewed.release());
}

// What can not be done while the keys of a lock are apart waits until they are together again.
TEST_F(Resharding, TokensRise) {
  Load load{cluster.url(), key, true};
  ASSERT_TRUE(load.goes_on());
  for (Server* to : {&away, &home}) {
    cluster.move_slot(slot, *to);
    EXPECT_TRUE(load.goes_on());
  }
  load.end();
  EXPECT_EQ(load.most_inside(), 1);
  EXPECT_EQ(load.failures(), 0);
  EXPECT_EQ(load.regressions(), 0);
}

// In a slot that is left half-way leases are extended, and locks given back and taken.
TEST_F(Resharding, ASlotThatStaysHalfWay) {
  const RedisMutex mutex{connection, {.block_time = limit, .expiry = 2 * limit}};
  auto held = mutex.acquire_lock(beside("held"));
  auto renewed = RedisMutex{connection, {.expiry = 900ms, .auto_renew = true}}.acquire_lock(beside("renewed"));
  const auto lost = renewed.lost_token();
  cluster.move_slot(slot, away, [&] {
    held.extend();
    std::thread waiter{[&] { mutex.acquire_lock(beside("held")).release(); }};
    const auto until = std::chrono::steady_clock::now() + 2s;
    EXPECT_TRUE(eventually(limit, [&] { return std::chrono::steady_clock::now() >= until; }));
    EXPECT_FALSE(lost.stop_requested());
    held.release();
    waiter.join();
    mutex.acquire_lock(beside("another")).release();
  });
  EXPECT_NO_THROW(renewed.release());
  cluster.move_slot(slot, home);
}

// All at once, as Valkey 9 can.
TEST_F(Resharding, AtomicallyUnderLoad) {
  if (home.product() != "valkey" || home.version() < Version{9, 0, 0}) return;
  Load load{cluster.url(), key, false};
  auto renewed = RedisMutex{connection, {.expiry = 2s, .auto_renew = true}}.acquire_lock(beside("renewed"));
  const auto lost = renewed.lost_token();
  const std::string number = std::to_string(slot);
  for (const auto& [from, to] : {std::pair{&home, &away}, std::pair{&away, &home}}) {
    const Reply begun =
        from->command({"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", number, number, "NODE", cluster.id_of(*to)});
    ASSERT_FALSE(begun.is_error()) << begun.text;
    ASSERT_TRUE(eventually(limit, [&, to = to] { return &cluster.master_of(slot) == to; }));
    EXPECT_TRUE(load.goes_on());
    EXPECT_FALSE(lost.stop_requested());
  }
  load.end();
  EXPECT_EQ(load.most_inside(), 1);
  EXPECT_EQ(load.failures(), 0);
  EXPECT_NO_THROW(renewed.release());
}

}  // namespace
}  // namespace redismutex::testing
