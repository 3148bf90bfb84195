// Gauges of who waits rise and fall with those who wait, threads and callbacks alike: a wait's beginning and its end are told of the same attempt.

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <future>
#include <memory>
#include <redismutex/async.hpp>
#include <redismutex/prometheus.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <utility>

#include "support/eventually.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto limit = 20s;

struct Waiting : ::testing::Test {
  Server server;
  const std::shared_ptr<PrometheusMetrics> metrics = std::make_shared<PrometheusMetrics>();

  Connection observed() const {
    ConnectionOptions options = parse_url(server.url());
    options.observer = metrics;
    return Connection{options};
  }

  bool becomes(const std::string& line) const {
    return eventually(limit, [&] {
      return ::prometheus::TextSerializer{}.Serialize(metrics->Collect()).find(line + "\n") != std::string::npos;
    });
  }

  const Options imports{.block_time = 30s, .expiry = 60s, .name = "imports"};
};

TEST_F(Waiting, Threads) {
  auto others = RedisMutex{Connection{server.url()}}.acquire_lock("key");
  const RedisMutex mutex{observed(), imports};
  std::stop_source called_off;
  auto one = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  auto other = std::async(std::launch::async, [&] { return mutex.acquire_lock("key", called_off.get_token()); });
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 2)"));

  called_off.request_stop();
  EXPECT_THROW(other.get(), LockCancelled);
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 1)"));

  others.release();
  auto lock = one.get();
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 0)"));
  EXPECT_TRUE(becomes(R"(redismutex_oldest_wait_seconds{mutex="imports"} 0)"));
  EXPECT_TRUE(becomes(R"(redismutex_locks_held{mutex="imports"} 1)"));
  lock.release();
  EXPECT_TRUE(becomes(R"(redismutex_locks_held{mutex="imports"} 0)"));
}

TEST_F(Waiting, Callbacks) {
  auto others = RedisMutex{Connection{server.url()}}.acquire_lock("key");
  const AsyncMutex mutex{observed(), imports};
  std::promise<AsyncLock> taken;
  mutex.acquire_lock("key").start([&](Outcome<AsyncLock> outcome) { taken.set_value(std::move(outcome).get()); });
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 1)"));
  others.release();
  { const AsyncLock lock = taken.get_future().get(); }
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 0)"));
  EXPECT_TRUE(becomes(R"(redismutex_locks_held{mutex="imports"} 0)"));

  // A wait that is over as soon as it has begun: the end may be told first.
  auto held = RedisMutex{Connection{server.url()}}.acquire_lock("key");
  for (int i = 0; i < 50; ++i) {
    std::stop_source called_off;
    std::promise<void> over;
    mutex.acquire_lock("key", called_off.get_token()).start([&](const Outcome<AsyncLock>&) { over.set_value(); });
    called_off.request_stop();
    over.get_future().get();
  }
  EXPECT_TRUE(becomes(R"(redismutex_waiters{mutex="imports"} 0)"));
  EXPECT_TRUE(becomes(R"(redismutex_acquire_duration_seconds_count{mutex="imports",outcome="cancelled"} 50)"));
}

}  // namespace
}  // namespace redismutex::testing
