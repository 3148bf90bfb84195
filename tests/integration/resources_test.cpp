// What this machine refuses: descriptors, threads, memory. Nothing is held then, nothing leaks, and nothing aborts.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <redismutex/async.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/allocations.hpp"
#include "support/channel.hpp"
#include "support/descriptors.hpp"
#include "support/process.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr Options renewed_single_try{.blocking = false, .expiry = limit, .auto_renew = true};

void set_limit(decltype(RLIMIT_NOFILE) resource, rlim_t most) {
  rlimit present{};
  ::getrlimit(resource, &present);
  present.rlim_cur = most;
  ::setrlimit(resource, &present);
}

/// All that needs descriptors or threads. True if it had them all; false if one error of the right kind said that it had not.
bool use_everything(const std::string& url) {
  try {
    const Connection connection{url};
    auto lock = RedisMutex{connection, renewed_single_try}.acquire_lock("key");
    const bool watched = !lock.lost_token().stop_requested();
    lock.release();
    return watched;
  } catch (const ResourceError&) {
    return false;
  }
}

struct Resources : WithServer {};

// One more at a time, until they are enough.
TEST_F(Resources, AnyNumberOfDescriptors) {
  int enough = 0;
  for (int spare = 0; spare <= 12; ++spare) {
    const ChildProcess child([&] {
      const auto before = open_descriptors();
      const int lowest_free = ::dup(STDERR_FILENO);
      ::close(lowest_free);
      set_limit(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free + spare));
      const bool was_enough = use_everything(server.url());
      set_limit(RLIMIT_NOFILE, 1000);
      if (open_descriptors() != before) return 2;
      return was_enough ? 0 : 1;
    });
    const auto ended = child.wait(limit);
    ASSERT_TRUE(ended == exited(0) || ended == exited(1)) << spare << ": " << child.stderr_text();
    enough += ended == exited(0) ? 1 : 0;
    EXPECT_FALSE(server.exists("key")) << spare;
  }
  EXPECT_GT(enough, 0);
  EXPECT_LT(enough, 13);
}

// However many Connections have locks that are renewed and listened for: a descriptor for each, and threads for all together.
TEST_F(Resources, ManyConnectionsShareThreads) {
  constexpr int many = 100;
  std::thread{[] {}}.join();  // with the first one the thread sanitizer starts one of its own
  const auto threads = thread_count();
  const auto descriptors = open_descriptors();
  {
    std::vector<Lock> locks;
    for (int i = 0; i < many; ++i) {
      locks.push_back(
          RedisMutex{Connection{server.url()}, renewed_single_try}.acquire_lock("key " + std::to_string(i)));
      EXPECT_FALSE(locks.back().lost_token().stop_requested());
    }
    // Each has been looked after: its key and the line beside it.
    EXPECT_TRUE(
        eventually(limit, [&] { return server.info("stats")["tracking_total_keys"] == std::to_string(2 * many); }));
    EXPECT_TRUE(eventually(limit, [&] { return thread_count() <= threads + 2; }));
    EXPECT_LE(open_descriptors(),
              descriptors + many + 70);  // one for each of the workers that there may have been at a time
  }
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads && open_descriptors() == descriptors; }));
}

struct Threads : ::testing::Test {
  /// In a child, which then can not start a thread any more.
  static void take_threads() {
    become_nobody();
    set_limit(RLIMIT_NPROC, 0);
  }

  /// The limit does not hold for root.
  static void become_nobody() {
    if (::geteuid() == 0 && ::setuid(65534) != 0) std::abort();
  }

  /// Any user may ask it for what a test wants to know.
  Server server{{.tcp = true, .directives = {"unixsocketperm 777"}}};

  void SetUp() override { ASSERT_EQ(::chmod(server.directory().c_str(), 0755), 0); }
};

// The library has a thread for what happens while no caller is there. Without it nothing is sent.
TEST_F(Threads, NoneAtAll) {
  const auto connections = [&] { return std::stoi(server.info("stats")["total_connections_received"]); };
  const int before = connections();
  const ChildProcess child([&] {
    take_threads();
    if (use_everything(server.tcp_url())) return 1;
    try {
      RedisMutex{Connection{server.tcp_url()}, non_blocking}.acquire_lock("key").release();
    } catch (const ResourceError&) {
      return 0;
    }
    return 2;
  });
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
  EXPECT_EQ(connections(), before);
  EXPECT_TRUE(server.keys().empty());
}

// So it is for operations that complete in threads of the library's.
TEST_F(Threads, NoneAtAllForAnOperation) {
  const ChildProcess child([&] {
    take_threads();
    const AsyncMutex mutex{Connection{server.tcp_url()}, non_blocking};
    try {
      mutex.acquire_lock("key").start([](const Outcome<AsyncLock>&) {});
    } catch (const ResourceError&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
  EXPECT_TRUE(server.keys().empty());
}

// One more at a time. (How many there are besides, of the same user, may change meanwhile: so it is not said how many are enough.)
TEST_F(Threads, AnyNumber) {
  for (rlim_t spare = 0; spare <= 4; ++spare) {
    const ChildProcess child([&] {
      become_nobody();
      set_limit(RLIMIT_NPROC, 1 + spare);
      return use_everything(server.tcp_url()) ? 0 : 1;
    });
    const auto ended = child.wait(limit);
    EXPECT_TRUE(ended == exited(0) || ended == exited(1)) << spare << ": " << child.stderr_text();
    EXPECT_FALSE(server.exists("key")) << spare;
  }
}

// A lock that is to be renewed takes one more, and is not taken. One that is not can be, but its loss can not be told.
TEST_F(Threads, NoneMore) {
  const ChildProcess child([&] {
    std::vector<std::string> log;
    ConnectionOptions options = parse_url(server.tcp_url());
    options.log = [&](std::string_view message) { log.emplace_back(message); };
    const Connection connection{options};
    connection.ping();
    take_threads();
    if (use_everything(server.tcp_url())) return 1;
    if (server.exists("key")) return 2;
    auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
    if (!lock.lost_token().stop_requested() || log.size() != 1 || log[0].find("'key'") == std::string::npos) return 3;
    lock.extend();
    lock.release();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
  EXPECT_TRUE(server.keys().empty());
}

// Nobody to ask for the credentials in.
TEST_F(Threads, NoneForTheCredentials) {
  const ChildProcess child([&] {
    ConnectionOptions options = parse_url(server.tcp_url());
    const Connection other{options};
    other.ping();  // so that the thread which all have in common is there
    options.credentials = [] { return Credentials{}; };
    const Connection connection{options};
    take_threads();
    try {
      connection.ping();
      return 1;
    } catch (const ResourceError&) {
    }
    set_limit(RLIMIT_NPROC, 1000);
    connection.ping();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
}

// The lease of a waiter is short at first. The full one takes no thread of its own.
TEST_F(Threads, NoneForOneWhoIsHandedTheLock) {
  const Connection connection{server.tcp_url()};
  auto first = RedisMutex{connection, patient}.acquire_lock("key");
  const ChildProcess child([&] {
    const Connection own{server.tcp_url()};
    own.ping();
    take_threads();
    auto lock = RedisMutex{own, patient}.acquire_lock("key");
    const bool has_it_all = eventually(limit, [&] { return server.pttl("key") > limit.count(); });
    lock.release();
    return has_it_all ? 0 : 1;
  });
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().size() == 2; }));
  first.release();
  EXPECT_EQ(child.wait(limit), exited(0)) << child.stderr_text();
  EXPECT_TRUE(server.keys().empty());
}

/// Runs it again and again: each time another allocation fails, until all have. Returns how many those were.
int with_each_allocation_failing(const std::function<void()>& work, const std::function<void(int)>& check) {
  for (int nth = 0;; ++nth) {
    allocations_left = nth;
    try {
      work();
    } catch (const std::bad_alloc&) {  // as it should
    } catch (const Error&) {           // where it cost the connection, for one
    }
    const bool none_failed = std::exchange(allocations_left, -1) >= 0;
    check(nth);
    if (none_failed) return nth;
  }
}

// Whichever allocation of an attempt fails: the key is free.
TEST_F(Resources, EachAllocationOfAnAttempt) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = limit, .fencing = true}};
  const auto failures = with_each_allocation_failing(
      [&] {
        auto lock = mutex.acquire_lock("key, longer than a string has room for");
        lock.release();
      },
      [&](int nth) {
        EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key, longer than a string has room for"); })) << nth;
      });
  EXPECT_GT(failures, 3);
  server.command({"FLUSHALL"});  // the floor of the tokens
}

// Behind somebody else, and in line: no place is left behind, and nobody is kept out by it.
TEST_F(Resources, EachAllocationOfAWait) {
  const RedisMutex mutex{connection, {.block_time = 20ms, .delay = 5ms, .expiry = limit, .local_handoffs = 2}};
  const Connection others_connection{server.url()};
  auto others = RedisMutex{others_connection, patient}.acquire_lock("key, longer than a string has room for");
  const auto failures = with_each_allocation_failing(
      [&] {
        const auto lock = mutex.try_acquire_lock_for("key, longer than a string has room for", 20ms);
        EXPECT_FALSE(lock);
      },
      [&](int nth) { EXPECT_TRUE(eventually(limit, [&] { return server.keys().size() == 1; })) << nth; });
  EXPECT_GT(failures, 10);
  others.release();
}

/// A loop of the calling thread, with room for the one Work that may be posted at a time.
class Pocket {
 public:
  Executor executor() {
    return [this](Executor::Work work) {
      const std::lock_guard lock{mutex_};
      work_.emplace(std::move(work));
    };
  }

  /// Runs until then. What was started is told how it ended, whatever fails.
  template <class Condition>
  void run_until(const Condition& condition) {
    const auto is_met = [&] {
      run();
      return condition();
    };
    if (!eventually(limit, is_met)) throw std::runtime_error{"nobody was told"};
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    if (!work_) return;
    Executor::Work work = std::move(*work_);
    work_.reset();
    lock.unlock();
    work();
  }

  std::mutex mutex_;
  std::optional<Executor::Work> work_;
};

/// What an operation comes to.
template <class T>
T outcome_of(Pocket& loop, Operation<T> operation) {
  std::optional<Outcome<T>> outcome;
  std::move(operation).start([&](Outcome<T> how) { outcome.emplace(std::move(how)); });
  loop.run_until([&] { return outcome.has_value(); });
  return std::move(*outcome).get();
}

// Those of the thread that starts it, and of the loop's, which are one.
TEST_F(Resources, EachAllocationOfAnOperation) {
  Pocket loop;
  const AsyncMutex mutex{connection, {.blocking = false, .expiry = limit, .fencing = true}, loop.executor()};
  const auto failures = with_each_allocation_failing(
      [&] {
        AsyncLock lock = outcome_of(loop, mutex.acquire_lock("key, longer than a string has room for"));
        outcome_of(loop, lock.extend());
        outcome_of(loop, lock.release());
      },
      [&](int nth) {
        EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key, longer than a string has room for"); })) << nth;
      });
  EXPECT_GT(failures, 10);
  server.command({"FLUSHALL"});  // the floor of the tokens
}

TEST_F(Resources, EachAllocationOfAnOperationThatWaits) {
  Pocket loop;
  const Options hasty{.block_time = 20ms, .delay = 5ms, .expiry = limit, .local_handoffs = 2};
  const AsyncMutex mutex{connection, hasty, loop.executor()};
  const Connection others_connection{server.url()};
  auto others = RedisMutex{others_connection, patient}.acquire_lock("key, longer than a string has room for");
  const auto failures = with_each_allocation_failing(
      [&] {
        const auto lock = outcome_of(loop, mutex.try_acquire_lock_for("key, longer than a string has room for", 20ms));
        EXPECT_FALSE(lock);
      },
      [&](int nth) { EXPECT_TRUE(eventually(limit, [&] { return server.keys().size() == 1; })) << nth; });
  EXPECT_GT(failures, 5);
  others.release();
}

}  // namespace
}  // namespace redismutex::testing
