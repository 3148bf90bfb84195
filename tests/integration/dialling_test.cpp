// An attempt to reach a server belongs to all who want it: it goes on where it is when the one who began it has no more time.

#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "fake_server.hpp"
#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr auto impatience = 150ms;

struct Dialling : WithServer {
  Proxy proxy{server};
};

// One handshake takes longer than any of the callers has: each brings it further.
TEST(ImpatientCallers, AreConnectedOverTls) {
  const Certificates certificates;
  Server server({.tls = certificates.tls(certificates.server())});
  Proxy proxy(server.tls_port());
  proxy.delay(Direction::replies, 100ms);
  const RedisMutex mutex{Connection{with(long_timeouts, {.host = "localhost",
                                                         .port = proxy.port(),
                                                         .tls = TlsOptions{.ca_file = certificates.ca_file()}})},
                         {.blocking = false, .expiry = limit}};
  std::optional<Lock> lock;
  int tries = 0;
  ASSERT_TRUE(eventually(limit, [&] {
    ++tries;
    try {
      lock = mutex.try_acquire_lock_for("key", impatience);
    } catch (const ConnectionError&) {
    }
    return lock.has_value();
  }));
  EXPECT_GT(tries, 1) << "else it shows nothing";
  EXPECT_EQ(proxy.connections(), 1);
  EXPECT_EQ(server.get("key"), lock->value());
}

TEST(ImpatientCallers, AreConnectedToAServerThatIsSlowToLetThemIn) {
  std::atomic<int> logins{0};
  const FakeServer server([&](const std::vector<std::string>& command) -> std::string {
    if (command.at(0) == "HELLO" && command.size() == 2) {
      ++logins;
      std::this_thread::sleep_for(3 * impatience);
    }
    return *FakeServer::after_login("-ERR here we are\r\n")(command);
  });
  const RedisMutex mutex{connect(server.url(), long_timeouts), non_blocking};
  int tries = 0;
  EXPECT_TRUE(eventually(limit, [&] {
    ++tries;
    try {
      (void)mutex.try_acquire_lock_for("key", impatience);
    } catch (const ServerError& error) {
      EXPECT_THAT(error.what(), HasSubstr("here we are"));
      return true;
    } catch (const ConnectionError&) {
    }
    return false;
  }));
  EXPECT_GT(tries, 2) << "else it shows nothing";
  EXPECT_EQ(logins, 1);
}

// Callers with little time, who come once in a while: what the first one began is there for the second, though nobody went on with
// it meanwhile.
TEST(ImpatientCallers, FindWhatWasBegunForThemDone) {
  const Certificates certificates;
  Server server({.tls = certificates.tls(certificates.server())});
  Proxy proxy(server.tls_port());
  proxy.delay(Direction::replies, 100ms);
  const ConnectionOptions options = with(long_timeouts, {.host = "localhost",
                                                         .port = proxy.port(),
                                                         .tls = TlsOptions{.ca_file = certificates.ca_file()},
                                                         .client_name = "impatient"});
  const RedisMutex mutex{Connection{options}, {.blocking = false, .expiry = limit}};
  thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", impatience); });
  ASSERT_TRUE(eventually(limit, [&] {
    return server.command({"CLIENT", "LIST"}).text.find("name=impatient:") != std::string::npos;
  }));
  proxy.delay(Direction::replies, 0ms);
  EXPECT_TRUE(mutex.try_acquire_lock_for("key", impatience));
  EXPECT_EQ(proxy.connections(), 1);
}

// The worker goes on with that attempt only. Others are made for those who want a connection.
TEST(ImpatientCallers, AreTheOnlyOnesForWhomAttemptsAreMade) {
  constexpr std::chrono::milliseconds connect_timeout = 2 * impatience;
  std::atomic<int> logins{0};
  std::atomic<bool> sound{true};
  const FakeServer server([&](const std::vector<std::string>& command) -> std::optional<std::string> {
    if (sound) return FakeServer::after_login("-ERR here we are\r\n")(command);
    ++logins;
    std::this_thread::sleep_for(2 * impatience / 3);
    return std::nullopt;
  });
  const Connection connection = connect(server.url(), {.connect = connect_timeout, .command = limit});
  thrown<ServerError>([&] { connection.ping(); });
  sound = false;
  thrown<ConnectionError>([&] { connection.ping(); });  // the server was reached before, and is lost
  const RedisMutex mutex{connection, non_blocking};
  thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", impatience / 3); });
  const int begun = logins;
  EXPECT_FALSE(eventually(5 * connect_timeout, [&] { return logins > begun + 1; }));
}

// A Connection may end while a worker goes on with its attempt.
TEST_F(Dialling, EndsAtAnyMoment) {
  constexpr int rounds = sanitized ? 200 : 1000;
  proxy.freeze();
  for (int round = 0; round < rounds; ++round) {
    const RedisMutex mutex{connect(proxy.url(), long_timeouts), non_blocking};
    thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", 1ms); });
    if (round % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds{round});
  }
}

// The one who drives the attempt leaves; one of those who wait for it goes on, with the same connection.
void expect_another_takes_over(Proxy& proxy, const std::function<void(const RedisMutex& mutex)>& wait_and_leave) {
  proxy.freeze();
  const RedisMutex mutex{connect(proxy.url(), long_timeouts), patient};
  auto first = std::async(std::launch::async, [&] { wait_and_leave(mutex); });
  EXPECT_TRUE(eventually(limit, [&] { return proxy.connections() == 1; }));
  auto second = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  first.get();
  EXPECT_EQ(second.wait_for(20ms), std::future_status::timeout);
  proxy.pass();
  EXPECT_TRUE(second.get());
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(Dialling, IsTakenOverFromOneWhoseTimeIsUp) {
  expect_another_takes_over(proxy, [](const RedisMutex& mutex) {
    thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", impatience); });
  });
}

TEST_F(Dialling, IsTakenOverFromOneWhoIsStopped) {
  std::stop_source stop;
  const std::jthread stopper{[&] {
    std::this_thread::sleep_for(impatience);
    stop.request_stop();
  }};
  expect_another_takes_over(proxy, [&](const RedisMutex& mutex) {
    thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); });
  });
}

// Many come and go, each with little time. They have one attempt among them, and one of them it succeeds with.
TEST_F(Dialling, IsSharedByManyWhoComeAndGo) {
  proxy.freeze();
  const RedisMutex mutex{connect(proxy.url(), long_timeouts), {.blocking = false, .expiry = limit}};
  std::atomic<bool> reached{false};
  std::atomic<int> failures{0};
  std::vector<std::jthread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i, key = "key " + std::to_string(i)] {
      const Stopwatch watch;
      for (int n = 0; !reached && watch.elapsed_ms() < limit.count(); ++n) {
        std::stop_source stop;
        std::jthread stopper;
        if (n % 2 == 0) stopper = std::jthread{[&] { stop.request_stop(); }};
        try {
          if (mutex.try_acquire_lock_for(key, std::chrono::milliseconds{1 + i}, stop.get_token())) reached = true;
        } catch (const Error&) {
          ++failures;
        }
      }
    });
  }
  EXPECT_TRUE(eventually(limit, [&] { return failures > 500; }));
  EXPECT_EQ(proxy.connections(), 1);
  proxy.pass();
  callers.clear();
  EXPECT_TRUE(reached);
  EXPECT_EQ(proxy.connections(), 1);
}

// How an attempt fails is the answer to all who waited for it.
TEST(DiallingFails, ForAllWhoWait) {
  Server server({.password = "secret"});
  Proxy proxy(server);
  proxy.freeze();
  const Connection connection = connect(proxy.url(), long_timeouts);
  std::vector<std::future<void>> callers;
  for (int i = 0; i < 8; ++i) {
    callers.push_back(std::async(std::launch::async, [&] {
      thrown<LoginError>([&] {
        connection.ping();
        return 0;
      });
    }));
  }
  for (auto& caller : callers) EXPECT_EQ(caller.wait_for(10ms), std::future_status::timeout);
  proxy.pass();
  for (auto& caller : callers) caller.get();
  EXPECT_EQ(proxy.connections(), 1);
}

// One call that is refused is one attempt.
TEST(DiallingFails, OnceACall) {
  Server server({.password = "secret"});
  const Proxy proxy(server);
  const RedisMutex mutex{connect(proxy.url(), long_timeouts), patient};
  for (int calls = 1; calls <= 3; ++calls) {
    thrown<LoginError>([&] { return mutex.acquire_lock("key"); });
    EXPECT_EQ(proxy.connections(), calls);
  }
}

// A caller who comes when an attempt is nearly over has time of its own all the same: it is not told of the end of that one, but
// of the next.
TEST_F(Dialling, LateComersHaveTheirOwnTime) {
  constexpr Timeouts timeouts{.connect = 300ms, .command = limit};
  const Connection late = connect(proxy.url(), timeouts);
  const RedisMutex impatient{late, non_blocking};
  proxy.freeze();
  const Stopwatch begun;
  thrown<ConnectionError>([&] { return impatient.try_acquire_lock_for("key", 200ms); });
  for (int i = 0; i < 2; ++i) {
    const Stopwatch watch;
    thrown<ConnectionError>([&] {
      late.ping();
      return 0;
    });
    EXPECT_GE(watch.elapsed_ms(), timeouts.connect.count() - 1);
  }
  EXPECT_LT(begun.elapsed_ms(), limit.count());
  proxy.pass();
}

// Nobody went on with an attempt until its time was over. The next caller is not told of that: it begins anew.
TEST_F(Dialling, BeginsAnewWhereNobodyWentOn) {
  constexpr Timeouts timeouts{.connect = 200ms, .command = limit};
  const Connection forgetful = connect(proxy.url(), timeouts);
  const RedisMutex mutex{forgetful, non_blocking};
  proxy.freeze();
  const Stopwatch watch;
  thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", 20ms); });
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > timeouts.connect.count() + 100; }));
  EXPECT_EQ(proxy.connections(), 1);
  EXPECT_THAT(thrown<ConnectionError>([&] {
                forgetful.ping();
                return 0;
              }).what(),
              HasSubstr("no answer to the login within 200 ms (connect_timeout)"));
  EXPECT_EQ(proxy.connections(), 2);
  proxy.pass();
  EXPECT_TRUE(eventually(limit, [&] {
    try {
      forgetful.ping();
      return true;
    } catch (const ConnectionError&) {
      return false;
    }
  }));
}

}  // namespace
}  // namespace redismutex::testing
