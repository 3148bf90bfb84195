// Many threads on one connection that breaks all the time, and many reconnections: nothing is lost, and nothing leaks.

#include <malloc.h>

#include <fstream>
#include <random>
#include <thread>

#include "support/descriptors.hpp"
#include "support/exclusion_witness.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct Hammer : WithServer {};

// 32 threads lock and unlock keys of their own and keys that they share, over one connection that is cut every few
// milliseconds: by the server, or by the network in the middle of whatever is on its way. What is thrown is what is
// documented, the lock excludes, and in the end everything is free.
TEST_F(Hammer, ThirtyTwoThreadsOnAConnectionThatIsCutAllTheTime) {
  constexpr int threads = 32, shared_keys = 4, cuts = sanitized ? 100 : 200;
  Proxy proxy(server);
  const Connection unsteady = connect(proxy.url(), {.connect = limit, .command = limit});
  const RedisMutex waiting{unsteady, {.block_time = 5s, .delay = 2ms, .expiry = 6s}};
  const RedisMutex impatient{unsteady, {.blocking = false, .expiry = 6s}};
  impatient.acquire_lock("key").release();
  std::array<ExclusionWitness, shared_keys> witnesses;
  std::atomic<bool> done = false;
  std::atomic<long> turns = 0, failures = 0;
  const auto work = [&](int thread) {
    const auto own = "own " + std::to_string(thread);
    const auto shared = static_cast<std::size_t>(thread % shared_keys);
    while (!done) {
      try {
        if (auto lock = impatient.try_acquire_lock(own)) {
          lock->extend();
          lock->release();
        }
        auto lock = waiting.acquire_lock("shared " + std::to_string(shared));
        witnesses[shared].enter();
        witnesses[shared].leave();
        lock.release();
        ++turns;
      } catch (const ConnectionError&) {
        ++failures;
      } catch (const MutexUnlockError&) {
        ++failures;
      } catch (const BlockTimeExceedError&) {
        ++failures;
      }
    }
  };
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) all.emplace_back(work, i);
    std::minstd_rand random;
    for (int cut = 0; cut < cuts; ++cut) {
      switch (random() % 4) {
        case 0: proxy.cut_all(Ending::fin); break;
        case 1: proxy.cut_all(Ending::rst); break;
        case 2: proxy.cut_after(Direction::replies, random() % 1000, Ending::rst); break;
        default: server.command({"CLIENT", "KILL", "TYPE", "normal"});
      }
      const long before = turns;
      const auto some = static_cast<long>(random() % 20);  // none: the next login is cut too
      EXPECT_TRUE(eventually(limit, [&] { return turns >= before + some; }));
    }
    done = true;
  }
  proxy.pass();
  for (const auto& witness : witnesses) EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GT(turns, cuts);
  EXPECT_LT(failures, turns / 10) << "healing is the rule";
  EXPECT_EQ(server.connected_clients(), 1);
}

/// Bytes in use by this process' heap.
long long heap_in_use() { return static_cast<long long>(::mallinfo2().uordblks); }

/// Bytes of memory that this process occupies.
long long resident() {
  std::ifstream file("/proc/self/statm");
  long long whole = 0, pages = 0;
  file >> whole >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

// Ten thousand connections are cut and made again. Afterwards there are as many descriptors and threads as before, and no
// more memory. Between two attempts lies a pause, so many connections do this at a time; each has a user of its own, by
// whose name the server cuts it.
TEST(Reconnecting, TenThousandTimesLeaksNothing) {
  constexpr int connections = 32;
  constexpr int rounds = sanitized ? 20 : 313;
  static_assert(sanitized || connections * rounds >= 10'000);
  constexpr long long noise = 200'000;  // bytes: less than 20 a connection made

  ServerOptions options;
  for (int i = 0; i < connections; ++i) options.users.push_back("u" + std::to_string(i) + " on >p ~* +@all");
  Server server(options);
  std::vector<Connection> all;
  for (int i = 0; i < connections; ++i) {
    all.emplace_back(with({.connect = limit, .command = limit},
                          {.unix_socket = server.socket_path(), .username = "u" + std::to_string(i), .password = "p"}));
  }
  const auto reconnect_each = [&](int times) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < connections; ++i) {
      threads.emplace_back([&, i] {
        const auto user = "u" + std::to_string(i);
        const Connection& connection = all[static_cast<std::size_t>(i)];
        RawClient killer(server.socket_path());
        for (int n = 0; n < times; ++n) {
          connection.ping();
          EXPECT_EQ(killer.command({"CLIENT", "KILL", "USER", user}).integer, 1);
        }
        connection.ping();
      });
    }
  };
  reconnect_each(10);
  const auto descriptors = open_descriptors(), threads = thread_count();
  const auto heap = heap_in_use(), memory = resident();
  reconnect_each(rounds);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(thread_count(), threads);
  if (!sanitized) {
    EXPECT_LT(heap_in_use(), heap + noise);
    EXPECT_LT(resident(), memory + 10 * noise);
  }
  EXPECT_EQ(server.connected_clients(), connections);
}

}  // namespace
}  // namespace redismutex::testing
