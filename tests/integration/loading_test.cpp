// A real server that is reading its data from disk: whoever asks for a lock is told so at once; afterwards all is well.

#include <thread>

#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A server that can be made to read its data for as long as a test likes, and answers now and then meanwhile.
class LoadingTest : public ::testing::Test {
 protected:
  static constexpr auto slowly = "1000";  // microseconds a key: 30 s in all

  LoadingTest() { server.command({"DEBUG", "POPULATE", "30000"}); }

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

  Server server{{.directives = {"enable-debug-command yes", "loading-process-events-interval-bytes 1024"}}};

 private:
  std::jthread loader_;
};

TEST_F(LoadingTest, IsReportedAtOnceAndGoesBy) {
  const auto expect_refusal = [&](const Connection& asking) {
    const auto error = thrown<ServerError>([&] { return RedisMutex{asking, patient}.acquire_lock("key"); });
    EXPECT_EQ(error.code(), "LOADING");
    EXPECT_THAT(error.what(), AllOf(HasSubstr("LOADING"), HasSubstr("'key'"), HasSubstr(server.url())));
  };

  const Connection connection{server.url()};
  connection.ping();
  begin_to_load();
  expect_refusal(connection);
  expect_refusal(Connection{server.url()});
  EXPECT_TRUE(loading()) << "it was not worth waiting for";
  finish_loading();
  EXPECT_TRUE(RedisMutex{connection}.acquire_lock("key").owns_lock());
}

}  // namespace
}  // namespace redismutex::testing
