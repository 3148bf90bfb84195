// A replica knows the locks, and nothing of the processes that hold them and wait: it takes nobody for dead.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "on_call.hpp"

namespace redismutex::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReplicaTest : public ::testing::Test, protected OnCall {
 protected:
  void SetUp() override {
    replica.command({"REPLICAOF", "127.0.0.1", std::to_string(server.port())});
    ASSERT_TRUE(eventually(limit, [&] { return replica.info("replication")["master_link_status"] == "up"; }));
  }

  Result at_replica(const std::vector<std::string>& words) { return redismutex(words, {"REDIS_URL=" + replica.url()}); }

  std::string primary() const { return "redis://127.0.0.1:" + std::to_string(server.port()); }

  Server replica;
};

TEST_F(ReplicaTest, TakesNobodyForDead) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  ASSERT_TRUE(eventually(limit, [&] { return inspect(Connection{replica.url()}, "k").waiting == 1; }));
  const auto status = at_replica({"status", "--deep", "k"});
  EXPECT_EQ(status.status, exited(0)) << status.err;
  EXPECT_THAT(status.out,
              AllOf(HasSubstr("held by a process that only the primary knows ("),
                    HasSubstr("; see redismutex status --url " + primary() + " k\n"), Not(HasSubstr("gone"))));
  const auto line = json::parse(at_replica({"status", "--deep", "--json", "k"}).out);
  EXPECT_TRUE(line.at("holder").at("connected").is_null());
  EXPECT_TRUE(line.at("waiters").at(0).at("connected").is_null());
  EXPECT_THAT(at_replica({"ls", "k"}).out, AllOf(HasSubstr("(see primary)"), Not(HasSubstr("(not found)"))));
}

TEST_F(ReplicaTest, BreaksNothing) {
  const auto inside = holder("k");
  ASSERT_TRUE(eventually(limit, [&] { return replica.exists("k"); }));
  const auto result = at_replica({"break", "--yes", "k"});
  EXPECT_EQ(result.status, exited(70));
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, AllOf(HasSubstr("this server is a replica"), HasSubstr("its primary is " + primary()),
                                Not(HasSubstr("held by"))));
  EXPECT_TRUE(server.exists("k"));
}

}  // namespace
}  // namespace redismutex::testing
