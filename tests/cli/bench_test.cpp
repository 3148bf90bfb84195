// `redismutex bench` measures on a key of its own, refuses where no lock can be taken, and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Bench, PrintsATableAndLeavesNothingBehind) {
  Server server;
  const auto result = redismutex({"bench", "--seconds", "0.6", "--waiters", "3"}, {"REDIS_URL=" + server.url()});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("p50 us"), HasSubstr("\nping "), HasSubstr("\npair "), HasSubstr("\nhand-over ")));
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
}

TEST(Bench, PrintsJson) {
  const Server server;
  const auto result = redismutex({"bench", "--seconds", "0.6", "--json"}, {"REDIS_URL=" + server.url()});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, ::testing::StartsWith("{\"schema\":1,\"server\":\"unix://"));
  for (const auto* field : {"\"ping\":{\"count\":", "\"pair\":{", "\"hand_over\":{", "\"p50_seconds\":",
                            "\"p99_seconds\":", "\"max_seconds\":", "\"per_second\":", "\"waiters\":8"}) {
    EXPECT_THAT(result.out, HasSubstr(field));
  }
}

TEST(Bench, IsRefusedByAReplica) {
  const Server primary({.tcp = true});
  Server replica;
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  const auto result = redismutex({"bench"}, {"REDIS_URL=" + replica.url()});
  EXPECT_EQ(result.status, exited(70));
  EXPECT_THAT(result.err, HasSubstr("its primary is redis://127.0.0.1:" + std::to_string(primary.port())));
}

TEST(Bench, CanBeInterrupted) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Server server;
    const auto process = start_redismutex({"bench", "--seconds", "600"}, {"REDIS_URL=" + server.url()});
    ASSERT_TRUE(eventually(limit, [&] { return server.command_calls()["ping"] > 100; }));
    process.kill(signal);
    EXPECT_EQ(process.wait(limit), exited(128 + signal));
    EXPECT_EQ(server.keys(), std::vector<std::string>{});
  }
}

TEST(Bench, ExplainsItsUsage) {
  EXPECT_EQ(redismutex({"bench", "--waiters", "1"}).status, exited(64));
  EXPECT_EQ(redismutex({"bench", "--seconds", "0"}).status, exited(64));
  EXPECT_EQ(redismutex({"bench", "--url", "unix:///nowhere"}).status, exited(69));
}

}  // namespace
}  // namespace redismutex::testing
