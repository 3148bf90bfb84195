// A server that is there and refuses. What goes by is waited out, within the caller's own limit; what another server would
// not refuse is asked of whatever server the name leads to then; all else is told at once.

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "fake_server.hpp"
#include "stopwatch.hpp"
#include "support/raw_client.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Timeouts short_to_connect{.connect = 300ms, .command = limit};

/// Refuses the first `refusals` of all PINGs, and counts.
class Refusing {
 public:
  Refusing(const std::string& error, int refusals)
      : server_{[this, error, refusals](const std::vector<std::string>& command) -> std::optional<std::string> {
          const std::lock_guard guard{mutex_};
          const bool gives_name = command.size() == 4 && command[2] == "SETNAME";  // after the login, by another HELLO
          const int before = gives_name ? 0 : calls_[command.at(0)]++;
          if (command.at(0) != "PING") return FakeServer::after_login("")(command);
          return std::optional{before < refusals ? "-" + error + "\r\n" : std::string{"+PONG\r\n"}};
        }} {}

  std::string url() const { return server_.url(); }
  int pings() { return calls("PING"); }
  int logins() { return calls("HELLO"); }

 private:
  int calls(const std::string& command) {
    const std::lock_guard guard{mutex_};
    return calls_[command];
  }

  std::mutex mutex_;
  std::map<std::string, int> calls_;
  FakeServer server_;
};

constexpr int always = 1'000'000;

TEST(RefusedRequests, ThatGoByAreWaitedOut) {
  for (const auto* error : {"LOADING Redis is loading the dataset in memory", "CLUSTERDOWN The cluster is down",
                            "TRYAGAIN Multiple keys request during rehashing of slot"}) {
    Refusing server{error, 3};
    const Connection connection = connect(server.url(), long_timeouts);
    EXPECT_NO_THROW(connection.ping()) << error;
    EXPECT_EQ(server.pings(), 4) << error;
    EXPECT_EQ(server.logins(), 1) << error << ": the connection is kept";
  }
}

TEST(RefusedRequests, OfTheWrongServerLeadToAnother) {
  for (const auto* error :
       {"READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "ERR Error running script (call to f_62e6aac9c7520a78c28f012748b42ed670fff5d3): @user_script:81: @user_script: "
        "81: -READONLY You can't write against a read only replica.",
        "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica."}) {
    Refusing server{error, 3};
    const Connection connection = connect(server.url(), long_timeouts);
    EXPECT_NO_THROW(connection.ping()) << error;
    EXPECT_EQ(server.pings(), 4) << error;
    EXPECT_EQ(server.logins(), 4) << error;
  }
}

TEST(RefusedRequests, OfAnyOtherKindAreToldAtOnce) {
  for (const auto* error :
       {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "OOM command not allowed when used memory > 'maxmemory'.", "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Errors writing to the AOF file", "NOPERM this user has no permissions to run the 'ping' command",
        "WRONGTYPE Operation against a key holding the wrong kind of value", "ERR unknown command 'PING'",
        "SOMETHING that nobody knows yet"}) {
    Refusing server{error, always};
    const Connection connection = connect(server.url(), long_timeouts);
    const auto thrown_error = thrown<ServerError>([&] {
      connection.ping();
      return 0;
    });
    EXPECT_EQ(thrown_error.code(), std::string{error}.substr(0, std::string{error}.find(' ')));
    EXPECT_EQ(server.pings(), 1) << error;
  }
}

// They are waited out for connect_timeout by whoever has no time limit of its own; then the refusal is told.
TEST(RefusedRequests, EndWithTheLimit) {
  for (const auto* error : {"LOADING Redis is loading the dataset in memory", "UNBLOCKED force unblock"}) {
    Refusing server{error, always};
    const Connection connection = connect(server.url(), short_to_connect);
    const Stopwatch watch;
    const auto refused = thrown<ServerError>([&] {
      connection.ping();
      return 0;
    });
    EXPECT_GE(watch.elapsed_ms(), short_to_connect.connect.count());
    EXPECT_THAT(refused.what(), AllOf(HasSubstr(server.url()), HasSubstr(error)));
    EXPECT_GT(server.pings(), 1);
    EXPECT_LE(server.pings(), 25) << "the shortest pause is 12.5 ms";
  }
}

TEST(RefusedRequests, AStopTokenEndsThePauses) {
  const FakeServer server{FakeServer::after_login("-LOADING Redis is loading the dataset in memory\r\n")};
  const Connection connection =
      connect(server.url(), {.connect = limit, .command = 1s});  // so long its end may wait for what is under way
  const auto cancelled_after_ms = best_ms(10, [&] {
    std::stop_source stop;
    auto waiting = std::async(std::launch::async, [&] {
      thrown<LockCancelled>([&] { return RedisMutex{connection, patient}.acquire_lock("key", stop.get_token()); });
    });
    EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout);
    const Stopwatch watch;
    stop.request_stop();
    waiting.get();
    return watch.elapsed_ms();
  });
  EXPECT_LT(cancelled_after_ms, 40);
}

// ---- real ones ------------------------------------------------------------------------------------------------------

struct RefusedByAServer : WithServer {};

// It runs a script of somebody's, which only a person can judge.
TEST_F(RefusedByAServer, BusyIsToldAtOnce) {
  const RedisMutex mutex{connection, patient};
  auto lock = mutex.acquire_lock("key");
  server.command({"CONFIG", "SET", "lua-time-limit", "10"});
  std::jthread busy{[path = server.socket_path()] { RawClient(path).command({"EVAL", "while true do end", "0"}); }};
  ASSERT_TRUE(eventually(limit, [&] { return server.command({"GET", "key"}).text.starts_with("BUSY"); }));
  EXPECT_EQ(thrown<ServerError>([&] { return mutex.acquire_lock("key 2"); }).reason(), ServerError::Reason::busy);
  EXPECT_EQ(thrown<ServerError>([&] {
              lock.extend();
              return 0;
            }).reason(),
            ServerError::Reason::busy);
  server.command({"SCRIPT", "KILL"});
}

// It takes no more clients: whoever may wait gets in when there is room.
TEST_F(RefusedByAServer, TooManyClientsAreWaitedOut) {
  server.command({"CONFIG", "SET", "maxclients", "1"});
  const auto rejected = [&] { return std::stoll(server.info("stats")["rejected_connections"]); };
  const auto error = thrown<ConnectionError>([&] {
    return RedisMutex{connect(server.url(), short_to_connect), non_blocking}.acquire_lock("key");
  });
  EXPECT_THAT(error.what(), HasSubstr("max number of clients"));
  EXPECT_GT(rejected(), 1) << "it was tried again";
  const auto before = rejected();
  auto waiting = std::async(std::launch::async, [&] {
    return RedisMutex{connect(server.url(), short_to_connect), patient}.acquire_lock("key").value();
  });
  EXPECT_EQ(waiting.wait_for(2 * short_to_connect.connect), std::future_status::timeout)
      << "it waits as long as it may";
  EXPECT_TRUE(eventually(limit, [&] { return rejected() > before + 2; }));
  server.command({"CONFIG", "SET", "maxclients", "100"});
  EXPECT_NO_THROW(waiting.get());
}

// Redis 6.0 tells the story of the script around the error, others behind it: its kind is recognised all the same.
TEST_F(RefusedByAServer, OfAScriptHaveTheirReasons) {
  server.command({"SET", "key", "somebody", "PX", "60000"});
  const RedisMutex mutex{connection, {.block_time = limit, .delay = 5ms, .expiry = 2 * limit, .fencing = true}};
  server.command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(thrown<ServerError>([&] { return mutex.acquire_lock("key"); }).reason(),
            ServerError::Reason::out_of_memory);
  server.command({"CONFIG", "SET", "maxmemory", "0"});
  server.command({"DEL", "key"});
}

}  // namespace
}  // namespace redismutex::testing
