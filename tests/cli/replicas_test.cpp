// --replicas: what replicas have not received does not count.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"
#include "support/eventually.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ReplicasCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    replica.command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
    ASSERT_TRUE(eventually(60s, [&] {
      master.command({"SET", "probe", "", "PX", "1"});
      return master.command({"WAIT", "1", "100"}).integer == 1;
    }));
  }

  auto run(std::vector<std::string> words) { return redismutex(std::move(words), {"REDIS_URL=" + master.url()}); }

  Server master{{.tcp = true, .directives = {"repl-diskless-sync-delay 0"}}};
  Server replica{{.tcp = true}};
};

TEST_F(ReplicasCommand, RunsWhenTheyHaveIt) {
  for (const std::string wanted : {"1", "majority", "all"}) {
    EXPECT_EQ(run({"run", "--replicas", wanted, "k", "true"}).status, exited(0)) << wanted;
    EXPECT_EQ(run({"hold", "--replicas", wanted, "--lease", "1", "k" + wanted}).status, exited(0)) << wanted;
  }
}

TEST_F(ReplicasCommand, DoesNotRunWhenTooFewHaveIt) {
  replica.pause();
  for (const std::string how : {"run", "hold"}) {
    std::vector<std::string> words{how, "-n", "--replicas", "1", "k"};
    if (how == "run") words.push_back("true");
    const auto result = run(words);
    EXPECT_EQ(result.status, exited(70));
    EXPECT_THAT(result.err, AllOf(HasSubstr("'k'"), HasSubstr("0 of the 1 replicas")));
  }
  EXPECT_TRUE(eventually(60s, [&] { return !master.exists("k"); }));
}

}  // namespace
}  // namespace redismutex::testing
