#include "protocol/replicas.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using From = CountReplicas::From;

std::int64_t counted(From from, std::string_view said) {
  CountReplicas machine{from};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(text(said))));
  const auto* const count = std::get_if<std::int64_t>(&machine.outcome());
  return count != nullptr ? *count : -1;
}

TEST(CountReplicas, OfASingleServer) {
  CountReplicas machine{From::server};
  EXPECT_THAT(command(machine.start(at(0s))), ElementsAre("INFO", "replication"));
  EXPECT_EQ(counted(From::server, "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=1\r\n"), 2);
  EXPECT_EQ(counted(From::server, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"), 0);
  EXPECT_EQ(counted(From::server, "# Server\r\n"), -1);
}

// A cluster lists those that are down, too, and those of other masters.
TEST(CountReplicas, OfACluster) {
  CountReplicas machine{From::cluster};
  EXPECT_THAT(command(machine.start(at(0s))), ElementsAre("CLUSTER", "NODES"));
  const std::string nodes =
      "07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 1426238317239 4 connected\n"
      "67ed 127.0.0.1:30002@31002,host2 master - 0 1426238316232 2 connected 5461-10922\n"
      "6ec2 127.0.0.1:30005@31005,host5 slave 67ed 0 1426238316232 5 connected\n"
      "824f 127.0.0.1:30006@31006,host6 slave,fail e7d1 0 1426238317741 6 disconnected\n"
      "e7d1 127.0.0.1:30001@31001,host1 myself,master - 0 0 1 connected 0-5460\n";
  EXPECT_EQ(counted(From::cluster, nodes), 2);
  EXPECT_EQ(counted(From::cluster, "e7d1 :0@0 myself,master - 0 0 0 connected"), 0);
  EXPECT_EQ(counted(From::cluster, "e7d1 :0@0 master - 0 0 0 connected\n"), -1);
  EXPECT_EQ(counted(From::cluster, ""), -1);
}

TEST(CountReplicas, ARefusalIsTold) {
  CountReplicas machine{From::cluster};
  machine.start(at(0s));
  machine.answered(error("NOPERM no right to run the 'cluster|nodes' command"));
  ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
  EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, "NOPERM");
  EXPECT_THAT(command(machine.unanswered()), ElementsAre("CLUSTER", "NODES"));
}

}  // namespace
}  // namespace redismutex::protocol
