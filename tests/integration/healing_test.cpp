// A connection that breaks heals by itself: within its time limits, with all that was held, for all who use it.

#include <fcntl.h>
#include <sys/resource.h>

#include <future>
#include <thread>

#include "black_hole.hpp"
#include "stopwatch.hpp"
#include "support/descriptors.hpp"
#include "support/exclusion_witness.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr Timeouts short_timeouts{.connect = 500ms, .command = 400ms};
constexpr auto busy_machine_ms = 2000;  // how much later than planned a thread may run

struct Healing : WithServer {
  const RedisMutex mutex{connection, non_blocking};
  Proxy proxy{server};

  /// Cuts all connections but the server object's own, and returns when that is done.
  void kill_clients() { server.command({"CLIENT", "KILL", "TYPE", "normal"}); }
};

/// How long it takes for `wait(stop_token)`, which is in the midst of it, to be cancelled.
template <class Wait>
long long cancelled_after_ms(Wait wait) {
  return best_ms(10, [&] {
    std::stop_source stop;
    auto waiting =
        std::async(std::launch::async, [&] { thrown<LockCancelled>([&] { return wait(stop.get_token()); }); });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    waiting.get();
    return watch.elapsed_ms();
  });
}

// ---- the connection is cut ------------------------------------------------------------------------------------------

// Nobody notices that an idle connection was cut until it is used: even then the caller gets what was asked for.
TEST_F(Healing, AnIdleConnectionThatWasCutIsReplaced) {
  for (int i = 0; i < 20; ++i) {
    connection.ping();
    kill_clients();
    EXPECT_TRUE(mutex.try_acquire_lock("key"));
    kill_clients();
    EXPECT_TRUE(mutex.acquire_lock("key"));
    kill_clients();
    ASSERT_NO_THROW(connection.ping());
  }
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 1; }));
}

// What is held is held by its id, not by the connection: it can be extended and released over another one.
TEST_F(Healing, LocksOutliveTheConnection) {
  auto lock = mutex.acquire_lock("key");
  kill_clients();
  lock.extend(60s);
  EXPECT_GT(lock.valid_for(), 50s);
  EXPECT_EQ(server.get("key"), lock.value());
  kill_clients();
  lock.release();
  EXPECT_FALSE(server.exists("key"));
}

// Again and again, while eight threads lock. None of them notices, and the lock still excludes.
TEST_F(Healing, EightThreadsNeverNoticeKills) {
  const RedisMutex own{connect(server.url(), long_timeouts), patient};
  own.acquire_lock("key").release();
  ExclusionWitness witness;
  std::atomic<bool> done = false;
  std::atomic<int> turns = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      while (!done) {
        own.acquire_lock("own " + std::to_string(i)).release();
        auto lock = own.acquire_lock("shared");
        witness.enter();
        witness.leave();
        lock.release();
        ++turns;
      }
    });
  }
  for (int kills = 0; kills < 100; ++kills) {
    kill_clients();
    const int before = turns;
    EXPECT_TRUE(eventually(limit, [&] { return turns > before; }));
  }
  done = true;
  threads.clear();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(server.connected_clients(), 1) << "one socket for all, as before";
}

// ---- the server goes away -------------------------------------------------------------------------------------------

// Its locks are lost with it, and the scripts that it had loaded. All later calls work at once.
TEST_F(Healing, ServerThatRestartsEmpty) {
  for (const auto end : {&Server::stop, &Server::kill}) {
    auto extended = mutex.acquire_lock("extended"), released = mutex.acquire_lock("released");
    (server.*end)();
    server.start();
    thrown<MutexUnlockError>([&] {
      extended.extend();
      return 0;
    });
    EXPECT_FALSE(extended.owns_lock());
    thrown<MutexUnlockError>([&] {
      released.release();
      return 0;
    });
    auto lock = mutex.acquire_lock("released");
    EXPECT_EQ(server.get("released"), lock.value());
    lock.extend();
    lock.release();
    EXPECT_FALSE(server.exists("released"));
  }
}

// A restart with persistence: the lock is still there, and still ours.
TEST(HealingOfALock, ServerThatRestartsWithItsData) {
  Server server({.directives = {"appendonly yes", "appendfsync always"}});
  const RedisMutex mutex{connect(server.url(), long_timeouts), non_blocking};
  auto lock = mutex.acquire_lock("key");
  server.kill();
  server.start();
  EXPECT_EQ(server.get("key"), lock.value());
  lock.extend();
  lock.release();
  EXPECT_FALSE(server.exists("key"));
}

// Who calls while the server is away is served when it is back, if that is within connect_timeout.
TEST_F(Healing, CallersWaitForAServerThatIsAway) {
  const RedisMutex waiting{connect(server.url(), long_timeouts), patient};
  auto lock = waiting.acquire_lock("held");
  server.kill();
  const auto descriptors = open_descriptors();
  auto acquired = std::async(std::launch::async, [&] { return waiting.acquire_lock("key"); });
  // Who is the first to find the connection broken does not know whether the server got the release.
  EXPECT_TRUE(eventually(limit, [&] { return open_descriptors() < descriptors; }));
  auto tried = std::async(std::launch::async, [&] { return waiting.try_acquire_lock("other key"); });
  auto released = std::async(std::launch::async, [&] {
    thrown<MutexUnlockError>([&] {
      lock.release();
      return 0;
    });
  });
  EXPECT_EQ(acquired.wait_for(quiet_time), std::future_status::timeout);
  server.start();
  EXPECT_TRUE(acquired.get());
  EXPECT_TRUE(tried.get());
  released.get();
}

// A waiter does not care that the server is another one meanwhile: there the lock is free.
TEST_F(Healing, WaitersOutliveTheServer) {
  const RedisMutex waiting{connect(server.url(), long_timeouts), patient};
  server.command({"SET", "key", "other"});
  auto acquired = std::async(std::launch::async, [&] { return waiting.acquire_lock("key"); });
  EXPECT_EQ(acquired.wait_for(quiet_time), std::future_status::timeout);
  server.kill();
  server.start();
  EXPECT_TRUE(acquired.get());
}

/// What a connection told its log.
class Told {
 public:
  explicit Told(ConnectionOptions options)
      : connection_{[&] {
          options.log = [lines = lines_](std::string_view line) {
            const std::lock_guard lock{lines->mutex};
            lines->all.emplace_back(line);
          };
          return options;
        }()} {}

  const Connection& connection() const { return connection_; }

  /// How many lines have it.
  long about(const std::string& text) const {
    const std::lock_guard lock{lines_->mutex};
    return std::count_if(lines_->all.begin(), lines_->all.end(),
                         [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

 private:
  struct Lines {
    std::mutex mutex;
    std::vector<std::string> all;
  };
  const std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  const Connection connection_;
};

// Who may wait for a lock may wait for its server: one that is started again, and one that was not there yet. It is told once.
TEST_F(Healing, AServerThatIsAwayIsWaitedFor) {
  for (const bool was_there : {true, false}) {
    SCOPED_TRACE(was_there);
    const Told told{with(short_timeouts, parse_url(server.url()))};
    if (was_there) told.connection().ping();
    server.kill();
    const RedisMutex own{told.connection(), patient};
    std::vector<std::future<Lock>> waiting;
    for (const std::string key : {"one", "two"}) {
      waiting.push_back(std::async(std::launch::async, [&own, key] { return own.acquire_lock(key); }));
    }
    EXPECT_TRUE(eventually(limit, [&] { return told.about("is away") == 1; }));
    EXPECT_EQ(told.about("No such file or directory") + told.about("Connection refused"), 1) << "the reason";
    for (auto& one : waiting) EXPECT_EQ(one.wait_for(quiet_time), std::future_status::timeout);
    server.start();
    for (auto& one : waiting) EXPECT_TRUE(one.get().owns_lock());
    EXPECT_TRUE(eventually(limit, [&] { return told.about("is there again") == 1; }));
    EXPECT_EQ(told.about("is away"), 1);
  }
}

// The reason is what is thrown when the time is up.
TEST_F(Healing, AWaitForAServerEndsWithTheBlockTime) {
  server.kill();
  const RedisMutex own{connect(server.url(), short_timeouts), {.block_time = 200ms, .delay = 10ms, .expiry = 1s}};
  const Stopwatch watch;
  EXPECT_THAT(thrown<ConnectionError>([&] { return own.acquire_lock("key"); }).what(),
              AllOf(HasSubstr("'key'"), HasSubstr(server.socket_path())));
  EXPECT_GE(watch.elapsed_ms(), 190);
  EXPECT_LT(watch.elapsed_ms(), 200 + busy_machine_ms);
  server.start();
}

// It does not come back: an error after connect_timeout that names the server, for every call, until it does.
TEST_F(Healing, ServerThatStaysAway) {
  const Connection impatient = connect(server.url(), short_timeouts);
  const RedisMutex own{impatient, {.block_time = 300ms, .delay = 10ms, .expiry = limit}};
  auto extended = own.acquire_lock("extended"), released = own.acquire_lock("released");
  server.kill();
  const std::vector<std::function<void()>> calls{
      [&] { impatient.ping(); },
      [&] { (void)own.acquire_lock("key"); },
      [&] { (void)own.try_acquire_lock("key"); },
      [&] { (void)own.try_acquire_lock_for("key", 300ms); },
      [&] { extended.extend(); },
      [&] { released.release(); },
  };
  for (const auto& call : calls) {
    const Stopwatch watch;
    const auto error = thrown<ConnectionError>([&] {
      call();
      return 0;
    });
    EXPECT_THAT(error.what(), HasSubstr(server.socket_path()));
    EXPECT_LT(watch.elapsed_ms(), short_timeouts.sum().count() + busy_machine_ms);
  }
  server.start();
  EXPECT_TRUE(own.acquire_lock("key"));
}

// Who has never reached a server has probably mistyped its address: that is said at once.
TEST_F(Healing, ServerThatWasNeverThere) {
  proxy.refuse();
  const Connection never = connect(proxy.url(), long_timeouts);
  for (int i = 0; i < 3; ++i) {
    const Stopwatch watch;
    EXPECT_THAT(thrown<ConnectionError>([&] {
                  never.ping();
                  return 0;
                }).what(),
                AllOf(HasSubstr(proxy.url()), HasSubstr("Connection refused")));
    EXPECT_LT(watch.elapsed_ms(), busy_machine_ms);
  }
  proxy.pass();
  EXPECT_TRUE(RedisMutex(never, non_blocking).acquire_lock("key"));
}

// A server that has all the clients it wants says so, and that is what the error says.
TEST(HealingOfALock, ServerThatIsFull) {
  Server server({.directives = {"maxclients 2"}});
  const RedisMutex mutex{connect(server.url(), short_timeouts), non_blocking};
  RawClient guest(server.socket_path());
  guest.command({"PING"});
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(thrown<ConnectionError>([&] { return mutex.acquire_lock("key"); }).what(),
                HasSubstr("max number of clients"));
  }
  guest.disconnect();
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
  EXPECT_TRUE(mutex.acquire_lock("key"));
}

// ---- silence --------------------------------------------------------------------------------------------------------

// Half-open: all connections stay up, new ones are even accepted, and nothing comes. Every call fails within its time
// limits, and when the network is back everything works again.
TEST_F(Healing, HalfOpenConnection) {
  const Connection half_open = connect(proxy.url(), short_timeouts);
  const RedisMutex own{half_open, {.block_time = 300ms, .delay = 10ms, .expiry = 60s}};
  auto extended = own.acquire_lock("extended"), released = own.acquire_lock("released");
  proxy.freeze();
  const std::vector<std::pair<std::function<void()>, std::chrono::milliseconds>> calls{
      {[&] { half_open.ping(); }, short_timeouts.sum()},
      {[&] { (void)own.acquire_lock("key"); }, short_timeouts.sum()},
      {[&] { (void)own.try_acquire_lock("key"); }, short_timeouts.sum()},
      {[&] { (void)own.try_acquire_lock_for("key", 50ms); }, 50ms},
      {[&] { extended.extend(); }, short_timeouts.sum()},
      {[&] { released.release(); }, short_timeouts.sum()},
  };
  for (const auto& [call, longest] : calls) {
    const Stopwatch watch;
    thrown<ConnectionError>([&] {
      call();
      return 0;
    });
    EXPECT_LT(watch.elapsed_ms(), longest.count() + busy_machine_ms);
  }
  EXPECT_TRUE(extended.owns_lock()) << "no answer is no loss";
  proxy.pass();
  half_open.ping();
  extended.extend();
  extended.release();
  EXPECT_TRUE(own.acquire_lock("key"));
  server.command({"DEL", "released"});
}

// The caller's own limit counts, if it is shorter, also where the server and the network say nothing at all.
TEST_F(Healing, BlockTimeCountsInSilence) {
  const BlackHole black_hole;
  proxy.freeze();
  for (const auto& url : {black_hole.url(), proxy.url()}) {
    SCOPED_TRACE(url);
    const RedisMutex own{connect(url, long_timeouts), {.block_time = 60ms, .delay = 10ms, .expiry = 1s}};
    const auto late = best_ms(10, [&] {
      const Stopwatch watch;
      const auto error = thrown<ConnectionError>([&] { return own.acquire_lock("key"); });
      const auto elapsed = watch.elapsed_ms();
      EXPECT_GE(elapsed, 60);
      EXPECT_THAT(error.what(), ContainsRegex("within [0-9]+ ms"));
      return elapsed - 60;
    });
    EXPECT_LE(late, 10);
  }
  proxy.pass();
}

TEST_F(Healing, DialIntoABlackHoleEndsWithTheConnectTimeout) {
  const BlackHole black_hole;
  const Connection lost = connect(black_hole.url(), {.connect = 200ms, .command = 10s});
  const Stopwatch watch;
  EXPECT_THAT(
      thrown<ConnectionError>([&] {
        lost.ping();
        return 0;
      }).what(),
      AllOf(HasSubstr(black_hole.url()), HasSubstr("no answer while connecting within 200 ms (connect_timeout)")));
  EXPECT_GE(watch.elapsed_ms(), 200);
  EXPECT_LT(watch.elapsed_ms(), 200 + busy_machine_ms);
}

// While dialling, while waiting for the greeting of a server that accepted, and while another thread dials.
TEST_F(Healing, StopEndsTheDialling) {
  const BlackHole black_hole;
  proxy.freeze();
  for (const auto& url : {black_hole.url(), proxy.url()}) {
    SCOPED_TRACE(url);
    const RedisMutex own{connect(url, long_timeouts), patient};
    EXPECT_LE(cancelled_after_ms([&](auto stop) { return own.acquire_lock("key", stop); }), 10);

    std::stop_source stop;
    auto dialling = std::async(
        std::launch::async, [&] { thrown<LockCancelled>([&] { return own.acquire_lock("key", stop.get_token()); }); });
    EXPECT_EQ(dialling.wait_for(20ms), std::future_status::timeout);
    EXPECT_LE(cancelled_after_ms([&](auto token) { return own.try_acquire_lock_for("key", limit, token); }), 10);
    stop.request_stop();
    dialling.get();
  }
  proxy.pass();
}

// That one caller gives up does not end the dialling of another, who gets the connection that comes of it.
TEST_F(Healing, OneWhoStopsDiallingDoesNotStopTheOthers) {
  proxy.freeze();
  const RedisMutex own{connect(proxy.url(), long_timeouts), patient};
  std::stop_source stop;
  auto cancelled = std::async(
      std::launch::async, [&] { thrown<LockCancelled>([&] { return own.acquire_lock("key", stop.get_token()); }); });
  EXPECT_EQ(cancelled.wait_for(20ms), std::future_status::timeout);
  auto others = std::async(std::launch::async, [&] { return own.acquire_lock("key"); });
  EXPECT_EQ(others.wait_for(20ms), std::future_status::timeout);
  stop.request_stop();
  cancelled.get();
  EXPECT_EQ(others.wait_for(20ms), std::future_status::timeout);
  proxy.pass();
  EXPECT_TRUE(others.get());
}

// A server that stands still takes no more bytes at some point, and then even sending would wait. The caller's limit and
// stop_token count there too.
TEST_F(Healing, SendingToAFullSocketKeepsTheLimits) {
  const RedisMutex own{connect(server.url(), {.connect = 3s, .command = 3s}), {.blocking = false, .expiry = 60s}};
  const std::string key(RedisMutex::max_key_size, 'x');  // some fifty of these fill a unix socket
  own.acquire_lock(key).release();
  server.pause();
  long long longest = 0;
  for (int i = 0; i < 200; ++i) {
    const Stopwatch watch;
    thrown<ConnectionError>([&] { return own.try_acquire_lock_for(key, 2ms); });
    longest = std::max(longest, watch.elapsed_ms());
  }
  EXPECT_LT(longest, 1000) << "of 2 ms";
  EXPECT_LE(cancelled_after_ms([&](auto stop) { return own.try_acquire_lock_for(key, limit, stop); }), 10);
  server.resume();
}

// ---- other trouble --------------------------------------------------------------------------------------------------

// No proxy, which is a thread: a sanitizer's memory manager may be locked by one at a fork, and then is so for ever in the child.
struct WithoutDescriptors : WithServer {};

// The process has no file descriptor left, or only a few: an error like any other, and no harm beyond it.
TEST_F(WithoutDescriptors, IsNoEnd) {
  for (std::size_t left = 0; left < 5; ++left) {
    SCOPED_TRACE(left);
    const ChildProcess child([&] {
      const RedisMutex own{connect(server.url(), short_timeouts), non_blocking};
      const rlimit few{.rlim_cur = 64, .rlim_max = 64};
      checked(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
      std::vector<Descriptor> hoard;
      for (int copy = 0; (copy = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;) hoard.emplace_back(copy);
      hoard.resize(hoard.size() - left);
      try {
        own.acquire_lock("key").release();
      } catch (const ResourceError&) {
      }
      hoard.clear();
      own.acquire_lock("key").release();
      return 0;
    });
    EXPECT_EQ(child.wait(limit), exited(0));
  }
}

}  // namespace
}  // namespace redismutex::testing
