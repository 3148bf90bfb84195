// Reactor mode, for one Asio each: a context whose operations are under way watches the sockets of their Connection itself, and reads there; and
// nothing else depends on that it turns. asio_reactor_test.cpp and boost_asio_reactor_test.cpp say which Asio.

#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "asio_fork.hpp"
#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "support/channel.hpp"
#include "support/loop.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/thread_switches.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct REACTOR_SUITE : WithServer {
  using AsyncLock = ours::AsyncLock;

  net::io_context context;
  const ours::Mutex mutex{context, connection, patient};
  const RedisMutex blocking{connection, patient};
  const RedisMutex elsewhere{Connection{server.url()}, patient};

  template <class Mutex>
  static net::awaitable<void> take_and_give(const Mutex& taken_by, std::string key, int times) {
    for (int i = 0; i < times; ++i) {
      auto lock = co_await taken_by.async_acquire_lock(key, net::use_awaitable);
      co_await async_release(std::move(lock), net::use_awaitable);
    }
  }

  template <class Mutex>
  static void make_pairs(net::io_context& there, const Mutex& taken_by, int times) {
    net::co_spawn(there, take_and_give(taken_by, "pair", times), net::detached);
    there.run();
    there.restart();
  }

  /// Whether the context, which this thread runs, reads by itself: else each answer wakes another thread. The library's own looks now and then
  /// whether anybody reads, and that is more often on a slow machine.
  template <class Mutex>
  static void expect_reading_by(net::io_context& there, const Mutex& taken_by) {
    constexpr int pairs = 500;
    make_pairs(there, taken_by, 2);
    const Stopwatch watch;
    const long before = voluntary_switches_of_others();
    make_pairs(there, taken_by, pairs);
    const long switches = voluntary_switches_of_others() - before;
    EXPECT_LT(switches, pairs / 2 + watch.elapsed_ms() / 3);
  }
  void expect_reading() { expect_reading_by(context, mutex); }

  /// A coroutine of the context waits for the lock "taken", which somebody else has.
  Lock have_a_wait() {
    Lock taken = elsewhere.acquire_lock("taken");
    net::co_spawn(context, take_and_give(mutex, "taken", 1), net::detached);
    EXPECT_TRUE(eventually(limit, [&] {
      context.poll();
      return server.exists("redismutex:{taken}");
    }));
    return taken;
  }

  void expect_blocking_pairs() {
    const Stopwatch watch;
    for (int i = 0; i < 5; ++i) blocking.acquire_lock("blocking").release();
    EXPECT_LT(watch.elapsed_ms(), std::chrono::milliseconds{limit}.count());
  }

  /// Again and again: so that a lease that was granted before has ended by itself.
  bool is_renewed(const std::string& key) {
    int renewals = 0;
    long long left = server.pttl(key);
    return eventually(limit, [&] {
      const long long before = std::exchange(left, server.pttl(key));
      if (left > before) ++renewals;
      return renewals >= 4;
    });
  }

  std::string numbers_of_connections() {
    std::string numbers;
    const std::string list = server.command({"CLIENT", "LIST"}).text;
    for (std::size_t at = list.find(" name=redismutex"); at != std::string::npos;
         at = list.find(" name=redismutex", at + 1)) {
      const std::size_t line = list.rfind("id=", at);
      numbers += list.substr(line, list.find(' ', line) - line) + " ";
    }
    return numbers;
  }
};

TEST_F(REACTOR_SUITE, APairWakesNoOtherThread) { expect_reading(); }

TEST_F(REACTOR_SUITE, AlsoOverTcp) {
  const Server other{{.tcp = true}};
  expect_reading_by(context, ours::Mutex{context, Connection{other.tcp_url()}, patient});
}

TEST_F(REACTOR_SUITE, AlsoOverTls) {
  const Certificates certificates;
  const Server other{{.tls = certificates.tls(certificates.server())}};
  const ConnectionOptions options{
      .host = "localhost", .port = other.tls_port(), .tls = TlsOptions{.ca_file = certificates.ca_file()}};
  const ours::Mutex secured{context, Connection{options}, patient};
  expect_reading_by(context, secured);
  for (int i = 0; i < 64; ++i) {
    net::co_spawn(context, take_and_give(secured, "key" + std::to_string(i), 20), net::detached);
  }
  context.run();
}

TEST_F(REACTOR_SUITE, AlsoThroughAStrand) {
  using Strand = net::strand<net::io_context::executor_type>;
  const ours::BasicMutex<Strand> stranded{Strand{context.get_executor()}, connection, patient};
  expect_reading_by(context, stranded);
}

TEST_F(REACTOR_SUITE, FourThreadsRunItThroughAStrand) {
  using Strand = net::strand<net::io_context::executor_type>;
  const ours::BasicMutex<Strand> stranded{Strand{context.get_executor()}, connection, patient};
  for (int i = 0; i < 16; ++i) {
    net::co_spawn(context, take_and_give(stranded, "key" + std::to_string(i % 8), 50), net::detached);
  }
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([this] { context.run(); });
}

// Grants are pushed to the one who waits.
TEST_F(REACTOR_SUITE, AWaitEndsInTheContext) {
  auto taken = have_a_wait();
  taken.release();
  context.run();
  context.restart();
  expect_reading();
}

// The socket stays as those want it who block there.
TEST_F(REACTOR_SUITE, TheSocketGoesOnBlocking) {
  const Server other{{.tcp = true}};
  make_pairs(context, ours::Mutex{context, Connection{other.tcp_url()}, patient}, 2);
  const Connection again{other.tcp_url()};
  const ours::Mutex there{context, again, patient};
  make_pairs(context, there, 2);
  int sockets = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &size) != 0 || type != AF_INET) continue;
    ++sockets;
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_GE(sockets, 1);
}

TEST_F(REACTOR_SUITE, TheContextRunsOutOfWorkAlthoughTheServerIsListenedTo) {
  const ours::Mutex renewing{context, connection, {.expiry = 1500ms, .auto_renew = true}};
  std::optional<AsyncLock> lock;
  renewing.async_acquire_lock("key", [&](const std::exception_ptr&, AsyncLock taken) { lock = std::move(taken); });
  context.run();
  ASSERT_TRUE(lock);
  const auto lost = lock->lost_token();
  EXPECT_TRUE(is_renewed("key")) << "the context does not turn";
  EXPECT_TRUE(lock->owns_lock());
  server.command({"DEL", "key"});
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
}

// ---- a loop that does not turn --------------------------------------------------------------------------------------

TEST_F(REACTOR_SUITE, ABlockedLoopHoldsUpNobodyElse) {
  auto taken = have_a_wait();
  const RedisMutex renewing{connection, {.expiry = 1500ms, .auto_renew = true}};
  auto renewed = renewing.acquire_lock("renewed");
  auto lost = blocking.acquire_lock("lost");
  const auto token = lost.lost_token();
  std::promise<void> go_on;
  net::post(context, [&] { go_on.get_future().wait(); });
  std::jthread loop{[this] { context.run(); }};
  taken.release();  // so that there is something to read, which the loop does not read
  expect_blocking_pairs();
  server.command({"DEL", "lost"});
  EXPECT_TRUE(eventually(limit, [&] { return token.stop_requested(); }));
  EXPECT_TRUE(is_renewed("renewed"));
  expect_blocking_pairs();
  EXPECT_TRUE(renewed.owns_lock());
  go_on.set_value();
  loop.join();
  context.restart();
  renewed.release();
  expect_reading();
}

TEST_F(REACTOR_SUITE, AStoppedContextIsReadForAndTakesItUpAgain) {
  std::optional<AsyncLock> lock;
  mutex.async_acquire_lock("key", [&](const std::exception_ptr&, AsyncLock taken) { lock = std::move(taken); });
  ASSERT_TRUE(eventually(limit, [&] { return server.exists("key"); }));
  expect_blocking_pairs();
  context.run();
  context.restart();
  ASSERT_TRUE(lock);
  lock.reset();
  expect_reading();
}

TEST_F(REACTOR_SUITE, AContextThatIsDestroyedLeavesTheConnection) {
  make_pairs(context, mutex, 1);
  auto held = elsewhere.acquire_lock("key");
  const std::string before = numbers_of_connections();
  {
    net::io_context short_lived;
    const ours::Mutex there{short_lived, connection, patient};
    net::co_spawn(short_lived, take_and_give(there, "key", 1), net::detached);
    EXPECT_TRUE(eventually(limit, [&] {
      short_lived.poll();
      return server.exists("redismutex:{key}");
    }));
  }
  EXPECT_TRUE(eventually(limit, [&] { return !server.exists("redismutex:{key}"); }));
  held.release();
  expect_blocking_pairs();
  expect_reading();
  EXPECT_EQ(numbers_of_connections(), before);
}

// ---- two contexts ---------------------------------------------------------------------------------------------------

TEST_F(REACTOR_SUITE, TheNextContextReadsWhenTheFirstHasNothingUnderWay) {
  net::io_context other;
  const ours::Mutex there{other, connection, patient};
  expect_reading();
  expect_reading_by(other, there);
  expect_reading();
}

// The first of them may read, and the other is told.
TEST_F(REACTOR_SUITE, TwoContextsAtATime) {
  net::io_context other;
  const ours::Mutex there{other, connection, patient};
  net::co_spawn(context, take_and_give(mutex, "key", 200), net::detached);
  net::co_spawn(other, take_and_give(there, "key", 200), net::detached);
  std::jthread thread{[&] { other.run(); }};
  context.run();
}

TEST_F(REACTOR_SUITE, ThreadsThatBlockBesideIt) {
  net::co_spawn(context, take_and_give(mutex, "one", 200), net::detached);
  net::co_spawn(context, take_and_give(mutex, "two", 200), net::detached);
  std::jthread one{[&] {
    for (int i = 0; i < 200; ++i) blocking.acquire_lock("one").release();
  }};
  std::jthread three{[&] {
    for (int i = 0; i < 200; ++i) blocking.acquire_lock("three").release();
  }};
  context.run();
}

// ---- troubles -------------------------------------------------------------------------------------------------------

TEST_F(REACTOR_SUITE, ABrokenConnectionIsMadeAnew) {
  auto taken = have_a_wait();
  const std::string before = numbers_of_connections();
  for (const char* type : {"normal", "pubsub"}) server.command({"CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"});
  ASSERT_TRUE(eventually(limit, [&] {
    context.poll();
    const std::string now = numbers_of_connections();
    return !now.empty() && now != before;
  }));
  taken.release();
  context.run();
  context.restart();
  expect_reading();
}

TEST_F(REACTOR_SUITE, AnAnswerThatNeverComesIsAnError) {
  Proxy proxy{server};
  ConnectionOptions options = parse_url(proxy.url());
  options.command_timeout = 200ms;
  options.connect_timeout = 200ms;
  const ours::Mutex there{context, Connection{options}, {.block_time = 500ms}};
  make_pairs(context, there, 1);
  proxy.freeze();
  std::exception_ptr thrown;
  there.async_acquire_lock("key", [&](std::exception_ptr error, const AsyncLock&) { thrown = std::move(error); });
  context.run();
  EXPECT_THROW(std::rethrow_exception(thrown), ConnectionError);
  proxy.pass();
}

TEST_F(REACTOR_SUITE, AChildHasItsOwnAndTheParentGoesOn) {
  auto taken = have_a_wait();
  const ChildProcess child = forked(context, [&] { return takes_one(context, mutex, "child's") ? 0 : 1; });
  taken.release();
  context.run();
  context.restart();
  expect_reading();
  EXPECT_EQ(child.wait(limit), exited(0));
  server.command({"DEL", "child's"});
}

}  // namespace
}  // namespace redismutex::testing
