// Somebody else keeps something large at the key of a lock. It is no business of ours, and never comes over the network.

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "stopwatch.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t size = 2 << 20;

struct LargeValue : WithServer {
  const Options looking{.block_time = 1s, .delay = 20ms, .expiry = 2 * limit};

  long long sent_by_server() { return std::stoll(server.info("stats").at("total_net_output_bytes")); }

  void TearDown() override {
    server.command({"FLUSHALL"});
    WithServer::TearDown();
  }
};

// Not by those who try to take the lock, who wait for it and look often, or who had it; while another thread takes turns at another
// key over the same connection.
TEST_F(LargeValue, IsNotFetched) {
  const RedisMutex mutex{connection, looking};
  const RedisMutex fenced{connection, {.block_time = 1s, .delay = 20ms, .expiry = 2 * limit, .fencing = true}};
  auto lock = mutex.acquire_lock("key");
  auto fenced_lock = fenced.acquire_lock("fenced key");
  for (const std::string key : {"key", "fenced key", "foreign key"}) {
    server.command({"SET", key, std::string(size, 'x'), "PX", "600000"});
  }
  const long long before = sent_by_server();

  std::atomic<bool> over = false;
  std::atomic<int> turns = 0;
  std::jthread beside{[&, patient_mutex = RedisMutex{connection, patient}] {
    while (!over) {
      const auto own = patient_mutex.acquire_lock("another key");
      ++turns;
    }
  }};
  for (const std::string key : {"key", "fenced key", "foreign key"}) {
    EXPECT_FALSE(mutex.try_acquire_lock(key));
    EXPECT_FALSE(fenced.try_acquire_lock(key));
  }
  EXPECT_THROW(static_cast<void>(mutex.acquire_lock("foreign key")), BlockTimeExceedError);
  EXPECT_THROW(static_cast<void>(fenced.acquire_lock("foreign key")), BlockTimeExceedError);
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(fenced_lock.release(), MutexUnlockError);
  const int turns_meanwhile = turns;
  EXPECT_TRUE(eventually(limit, [&] { return turns > turns_meanwhile; }));
  over = true;
  beside.join();

  const long long answers = sent_by_server() - before;
  EXPECT_LT(answers, static_cast<long long>(size)) << turns << " turns beside";
  EXPECT_EQ(server.command({"STRLEN", "key"}).integer, static_cast<long long>(size)) << "and it is still there";
}

}  // namespace
}  // namespace redismutex::testing
