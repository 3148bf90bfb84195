// Which server of a cluster is asked, by what is known of them.

#include "route/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <set>
#include <string>
#include <vector>

#include "route/environment.hpp"

namespace redismutex::route {
namespace {

using protocol::SlotRange;
using ::testing::ElementsAre;

struct ClusterTest : ::testing::Test {
  std::list<Server> servers;
  Cluster cluster{{{"a", 1}, {"b", 2}}, [this](const ServerAddress& address) -> Server& {
                    return servers.emplace_back(operating_system(), address.host, [](std::string_view) {});
                  }};

  void take_in(const std::vector<SlotRange>& ranges, const std::vector<ServerAddress>& replicas = {}) {
    cluster.take_in({.ranges = ranges, .replicas = replicas});
  }
};

TEST_F(ClusterTest, BeforeTheMapIsKnownASeedIsAsked) {
  EXPECT_EQ(cluster.server_of(5).name(), "a");
  EXPECT_FALSE(cluster.is_known());
  EXPECT_TRUE(cluster.try_next_seed(cluster.any()));
  EXPECT_EQ(cluster.any().name(), "b");
  EXPECT_TRUE(cluster.try_next_seed(cluster.any()));
  EXPECT_EQ(cluster.any().name(), "a");
}

TEST_F(ClusterTest, TheMapSaysWhere) {
  take_in({{0, 99, {"c", 3}}, {100, 16383, {"b", 2}}});
  EXPECT_EQ(cluster.server_of(99).name(), "c");
  EXPECT_EQ(cluster.server_of(100).name(), "b");
  EXPECT_FALSE(cluster.try_next_seed(cluster.any()));
  std::vector<std::string> names;
  for (const Server* master : cluster.masters()) names.push_back(master->name());
  EXPECT_THAT(names, ElementsAre("c", "b"));
  EXPECT_EQ(servers.size(), 3U) << "each is made once";
}

// Nobody is to connect again to one that has no slots any more.
TEST_F(ClusterTest, AServerWithoutSlotsIsRetired) {
  take_in({{0, 16383, {"a", 1}}});
  EXPECT_FALSE(cluster.server_of(0).is_retired());
  Server& before = cluster.server_of(0);
  take_in({{0, 16383, {"b", 2}}});
  EXPECT_TRUE(before.is_retired());
  EXPECT_EQ(cluster.moved(cluster.server_of(0), "MOVED 7 a:1"), &before);
  EXPECT_FALSE(before.is_retired());
  EXPECT_EQ(&cluster.server_of(7), &before);
}

TEST_F(ClusterTest, AskingElsewhereTeachesNothing) {
  take_in({{0, 16383, {"a", 1}}});
  EXPECT_EQ(cluster.asked_elsewhere(cluster.any(), "ASK 7 b:2")->name(), "b");
  EXPECT_EQ(cluster.server_of(7).name(), "a");
}

// The one that gave rise to doubt is the last to ask.
TEST_F(ClusterTest, AnotherServerIsAskedForTheMap) {
  take_in({{0, 99, {"a", 1}}, {100, 16383, {"b", 2}}});
  for (Server& server : servers) server.begin(1, {});
  cluster.doubt(cluster.server_of(100));
  EXPECT_EQ(cluster.next_informant().server->name(), "a") << "although it is the turn of the other one";
  cluster.doubt(cluster.server_of(0));
  EXPECT_TRUE(cluster.take_doubt());
  EXPECT_FALSE(cluster.take_doubt());
  EXPECT_EQ(cluster.next_informant().server->name(), "b");
  EXPECT_EQ(cluster.next_informant().server->name(), "a");
}

// A server that is cut off from the others goes on telling what was, and it may be the only one with a connection.
TEST_F(ClusterTest, NoServerIsAskedForTheMapTwiceInARow) {
  take_in({{0, 99, {"a", 1}}, {100, 199, {"b", 2}}, {200, 16383, {"c", 3}}});
  cluster.server_of(0).begin(1, {});
  EXPECT_EQ(cluster.next_informant().server->name(), "a") << "there is a connection to it";
  cluster.server_of(200).begin(2, {});
  EXPECT_EQ(cluster.next_informant().server->name(), "c") << "there is one to this, too";
  EXPECT_EQ(cluster.next_informant().server->name(), "b") << "it was not asked yet";
  EXPECT_EQ(cluster.next_informant().server->name(), "a");
}

// All to which there are connections may be cut off together. What they tell does not change that.
TEST_F(ClusterTest, EachServerWithSlotsIsAskedForTheMapBeforeAnyIsAskedAgain) {
  const std::vector<SlotRange> map{
      {0, 99, {"a", 1}}, {100, 199, {"b", 2}}, {200, 299, {"c", 3}}, {300, 399, {"d", 4}}, {400, 16383, {"e", 5}}};
  take_in(map);
  cluster.server_of(0).begin(1, {});
  cluster.server_of(100).begin(2, {});
  for (int round = 0; round < 3; ++round) {
    std::set<std::string> asked;
    for (std::size_t i = 0; i < map.size(); ++i) {
      asked.insert(cluster.next_informant().server->name());
      take_in(map);
    }
    EXPECT_EQ(asked.size(), map.size());
  }
}

// One that hangs has a connection for as long as command_timeout.
TEST_F(ClusterTest, TheOthersAreAskedThoughThoseWithSlotsHaveConnections) {
  take_in({{0, 16383, {"a", 1}}});
  take_in({{0, 99, {"c", 3}}, {100, 16383, {"d", 4}}});
  cluster.server_of(0).begin(1, {});
  cluster.server_of(100).begin(2, {});
  EXPECT_EQ(cluster.next_informant().server->name(), "c");
  EXPECT_EQ(cluster.next_informant().server->name(), "d");
  EXPECT_EQ(cluster.next_informant().server->name(), "a");
}

// It may tell what was before it was cut off from the others.
TEST_F(ClusterTest, AServerWithoutSlotsIsAskedAfterTheOthersInSpiteOfItsConnection) {
  take_in({{0, 16383, {"a", 1}}});
  cluster.server_of(0).begin(1, {});
  take_in({{0, 99, {"b", 2}}, {100, 16383, {"c", 3}}});
  for (const char* name : {"b", "c"}) {
    EXPECT_EQ(cluster.next_informant().server->name(), name);
    take_in({{0, 99, {"b", 2}}, {100, 16383, {"c", 3}}});
  }
}

// Whoever holds locks there is to know.
TEST_F(ClusterTest, ThatASlotHasMovedIsTold) {
  int told = 0;
  cluster.on_moved([&] { ++told; });
  take_in({{0, 16383, {"a", 1}}});
  EXPECT_EQ(told, 1);
  take_in({{0, 99, {"a", 1}}, {100, 16383, {"a", 1}}});
  EXPECT_EQ(told, 1) << "as before";
  take_in({{0, 99, {"a", 1}}, {100, 16383, {"b", 2}}});
  EXPECT_EQ(told, 2);
  cluster.moved(cluster.server_of(7), "MOVED 7 b:2");
  EXPECT_EQ(told, 3);
  cluster.moved(cluster.server_of(7), "MOVED 7 b:2");
  cluster.asked_elsewhere(cluster.server_of(8), "ASK 8 b:2");
  EXPECT_EQ(told, 3);
}

// Those that have no slots may be gone for good.
TEST_F(ClusterTest, AServerWithoutSlotsIsTheLastToBeAskedForTheMap) {
  take_in({{0, 16383, {"a", 1}}});
  take_in({{0, 16383, {"b", 2}}});
  EXPECT_EQ(cluster.next_informant().server->name(), "b");
  EXPECT_EQ(cluster.next_informant().server->name(), "a") << "the one that has slots did not answer";
  EXPECT_EQ(cluster.next_informant().server->name(), "b");
  take_in({{0, 16383, {"b", 2}}});
  EXPECT_EQ(cluster.next_informant().server->name(), "b") << "it did";
  cluster.doubt(cluster.server_of(0));
  EXPECT_EQ(cluster.next_informant().server->name(), "a");
}

// The only one that has slots may be gone, whatever its place among the known ones.
TEST_F(ClusterTest, InPlaceOfTheOnlyServerWithSlotsAnotherIsAsked) {
  take_in({{0, 16383, {"b", 2}}});
  take_in({{0, 16383, {"a", 1}}});
  for (int i = 0; i < 3; ++i) {
    cluster.doubt(cluster.server_of(0));
    EXPECT_EQ(cluster.next_informant().server->name(), "b");
  }
  EXPECT_EQ(cluster.next_informant().server->name(), "a") << "without doubt it has its turn again";
}

TEST(LoneServer, IsAskedForTheMapInSpiteOfDoubt) {
  std::list<Server> servers;
  Cluster cluster{{{"a", 1}}, [&](const ServerAddress& address) -> Server& {
                    return servers.emplace_back(operating_system(), address.host, [](std::string_view) {});
                  }};
  for (int i = 0; i < 2; ++i) {
    cluster.doubt(cluster.any());
    EXPECT_EQ(cluster.next_informant().server->name(), "a");
  }
}

// All that have slots may be gone, and only who had some once knows who has them now.
TEST_F(ClusterTest, WhenThoseWithSlotsAreGoneTheOthersAreAsked) {
  take_in({{0, 16383, {"a", 1}}});
  take_in({{0, 99, {"c", 3}}, {100, 16383, {"d", 4}}});
  std::set<std::string> asked;
  for (int i = 0; i < 6; ++i) {
    const auto informant = cluster.next_informant();
    asked.insert(informant.server->name());
    cluster.doubt(*informant.server);
  }
  EXPECT_TRUE(asked.contains("a"));
}

// Those of the only master know who has taken its place, and the URL may name none of them.
TEST_F(ClusterTest, ReplicasAreAskedWhenThoseWithSlotsDoNotTell) {
  const std::vector<SlotRange> map{{0, 16383, {"a", 1}}};
  const std::vector<ServerAddress> replicas{{"r", 1}, {"s", 1}};
  take_in(map, replicas);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cluster.next_informant().server->name(), "a");
    take_in(map, replicas);
  }
  EXPECT_EQ(servers.size(), 2U) << "nobody knows replicas that are not needed";
  std::set<std::string> asked;
  for (int i = 0; i < 4; ++i) {
    const auto informant = cluster.next_informant();
    asked.insert(informant.server->name());
    EXPECT_EQ(informant.server->is_retired(), informant.server->name() != "a");
    cluster.doubt(cluster.server_of(0));
  }
  EXPECT_THAT(asked, ElementsAre("a", "b", "r", "s"));
  take_in({{0, 16383, {"r", 1}}}, {{"s", 1}});
  EXPECT_FALSE(cluster.server_of(0).is_retired());
  EXPECT_EQ(cluster.server_of(0).name(), "r");
}

// A seed that has no slots is known in spite of others that were learnt before.
TEST_F(ClusterTest, AllSeedsAreKnown) {
  take_in({{0, 99, {"c", 3}}, {100, 16383, {"d", 4}}});
  std::set<std::string> asked;
  for (int i = 0; i < 4; ++i) asked.insert(cluster.next_informant().server->name());
  EXPECT_THAT(asked, ElementsAre("a", "b", "c", "d"));
}

// Whatever servers say, what is remembered of them has a limit. Those that are known go on.
TEST_F(ClusterTest, NotMoreServersAreRememberedThanThereAreSlots) {
  std::vector<SlotRange> ranges;
  for (std::uint16_t slot = 0; slot < protocol::slot_count; ++slot) ranges.push_back({slot, slot, {"c", slot}});
  take_in(ranges);
  EXPECT_EQ(servers.size(), protocol::slot_count);
  EXPECT_EQ(cluster.moved(cluster.any(), "MOVED 7 one.more:1"), nullptr);
  take_in({{0, 99, {"one.more", 1}}, {100, 16383, {"c", 5}}});
  EXPECT_EQ(servers.size(), protocol::slot_count);
  EXPECT_EQ(cluster.server_of(99).name(), "c") << "as before";
  EXPECT_EQ(&cluster.server_of(100), cluster.moved(cluster.any(), "MOVED 7 c:5"));
}

// A server that knows of none is no better than none.
TEST_F(ClusterTest, AnEmptyMapChangesNothing) {
  take_in({{0, 16383, {"b", 2}}});
  take_in({});
  EXPECT_EQ(cluster.server_of(0).name(), "b");
}

}  // namespace
}  // namespace redismutex::route
