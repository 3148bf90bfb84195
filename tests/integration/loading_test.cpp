// A real server that is reading its data from disk: whoever may wait for a lock waits for that too; others are told.

#include <chrono>
#include <future>
#include <thread>

#include "stopwatch.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A server that can be made to read its data for as long as a test likes, and answers now and then meanwhile.
class LoadingTest : public ::testing::Test {
 protected:
  static constexpr auto slowly = "20000";  // microseconds a key: 12 s in all

  // Servers before 7.0 answer once in 2 MiB only: six keys.
  LoadingTest() {
    server.command({"DEBUG", "POPULATE", "600", "key", server.version() < Version{7, 0, 0} ? "350000" : "1024"});
  }

  void begin_to_load() {
    server.command({"CONFIG", "SET", "key-load-delay", slowly});
    loader_ = std::jthread{[path = server.socket_path()] {
      try {
        RawClient(path).command({"DEBUG", "RELOAD"});
      } catch (const std::runtime_error&) {
        // The answer comes when all is read, which may be too late for it: loading() tells.
      }
    }};
    ASSERT_TRUE(eventually(limit, [&] { return loading(); }));
  }

  void finish_loading() {
    server.command({"CONFIG", "SET", "key-load-delay", "0"});
    ASSERT_TRUE(eventually(limit, [&] { return !loading(); }));
  }

  bool loading() { return server.info("persistence")["loading"] == "1"; }

  Server server{
      {.directives = {"enable-debug-command yes", "loading-process-events-interval-bytes 1024", "rdbcompression no"}}};

 private:
  std::jthread loader_;
};

TEST_F(LoadingTest, IsWaitedOutWithinTheLimit) {
  constexpr Timeouts timeouts{.connect = 300ms, .command = limit};
  const Connection connected = connect(server.url(), timeouts);
  connected.ping();
  begin_to_load();
  for (const Connection& connection : {connected, connect(server.url(), timeouts)}) {
    const Stopwatch watch;
    const auto error = thrown<ServerError>([&] { return RedisMutex{connection, non_blocking}.acquire_lock("key"); });
    EXPECT_GE(watch.elapsed_ms(), timeouts.connect.count());
    EXPECT_EQ(error.reason(), ServerError::Reason::loading);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("LOADING"), HasSubstr("'key'"), HasSubstr(server.url())));
  }
  auto waiting = std::async(std::launch::async, [&] {
    return RedisMutex{connected, patient}.acquire_lock("key").value();
  });
  EXPECT_EQ(waiting.wait_for(2 * timeouts.connect), std::future_status::timeout) << "it waits as long as it may";
  EXPECT_TRUE(loading());
  finish_loading();
  EXPECT_NO_THROW(waiting.get());
}

}  // namespace
}  // namespace redismutex::testing
