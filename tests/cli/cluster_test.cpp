// The command at a cluster: who is on call sees the locks of all its servers, and what is wrong with which of them.

#include "support/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <set>
#include <string>
#include <vector>

#include "command.hpp"
#include "support/raw_client.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string address_of(const Server& server) { return "127.0.0.1:" + std::to_string(server.port()); }

struct ClusterCommand : ::testing::Test {
  Cluster& cluster = Cluster::shared();
  const std::vector<std::string> keys = keys_of_many_slots(6, "job ");

  std::set<std::string> masters() {
    std::set<std::string> all;
    for (const Server* master : cluster.masters()) all.insert(address_of(*master));
    return all;
  }
};

TEST_F(ClusterCommand, ShowsTheLocksOfAllServers) {
  const Connection connection{cluster.url()};
  std::vector<Lock> locks;
  for (const std::string& key : keys) {
    locks.push_back(RedisMutex{connection, {.expiry = 60s, .label = "nightly"}}.acquire_lock(key));
  }
  std::vector<std::string> words{"status", "--url", cluster.url()};
  words.insert(words.end(), keys.begin(), keys.end());
  const auto status = redismutex(words);
  EXPECT_EQ(status.status, exited(0)) << status.err;
  for (const std::string& key : keys) EXPECT_THAT(status.out, HasSubstr(key + " "));
  EXPECT_THAT(status.out, AllOf(HasSubstr("held by "), Not(HasSubstr("free"))));
  const auto quiet = redismutex({"status", "-q", "--url", cluster.url(), keys[0], "free " + keys[1]});
  EXPECT_EQ(quiet.status, exited(1)) << quiet.err;

  // By their labels, which are written a moment later, and by their ids.
  for (const std::vector<std::string>& way : {std::vector<std::string>{}, {"job *"}, {"--all"}}) {
    std::vector<std::string> list{"ls", "--url", cluster.url(), "-o", "key", "--yes"};
    list.insert(list.end(), way.begin(), way.end());
    std::string seen;
    EXPECT_TRUE(eventually(limit, [&] {
      const auto listed = redismutex(list);
      seen = listed.out + listed.err;
      return listed.status == exited(0) && std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
               return listed.out.find(key + "\n") != std::string::npos;
             });
    })) << seen;
  }
}

// Their first connection is to the server of the URL, which has few of the keys.
TEST_F(ClusterCommand, NamesHoldersOfKeysAtAnyServer) {
  const std::string pid = "pid " + std::to_string(::getpid());
  for (std::size_t i = 0; i < Cluster::size; ++i) {  // no connection has the same number at two servers
    for (std::size_t n = 0; n < 40 * i; ++n) RawClient{cluster.node(i).socket_path()}.command({"PING"});
  }
  const Connection connection{cluster.url()};
  static_cast<void>(RedisMutex{connection}.acquire_lock("first"));
  for (const std::string& key : keys) {
    const Lock lock = RedisMutex{connection, {.expiry = 60s}}.acquire_lock(key);
    const auto status = redismutex({"status", "--url", cluster.url(), key});
    EXPECT_THAT(status.out, HasSubstr(pid)) << key;
  }
}

TEST_F(ClusterCommand, ExaminesEachServer) {
  const auto all = redismutex({"doctor", "--write", "--json", "--url", cluster.url()});
  EXPECT_EQ(all.status, exited(1)) << all.out << all.err;
  std::set<std::string> examined;
  int of_the_whole = 0;
  const auto said = nlohmann::json::parse(all.out);
  for (const auto& finding : said["findings"]) {
    if (finding.contains("server")) {
      examined.insert(finding["server"]);
    } else {
      ++of_the_whole;
      EXPECT_THAT(finding["check"], ::testing::AnyOf("keys", "write"));
    }
  }
  EXPECT_EQ(examined, masters());
  EXPECT_EQ(of_the_whole, 2);

  // It says which one is ill.
  Server& ill = *cluster.masters().at(1);
  ill.command({"CONFIG", "SET", "timeout", "300"});
  const auto found = redismutex({"doctor", "--url", cluster.url()});
  ill.command({"CONFIG", "SET", "timeout", "0"});
  EXPECT_THAT(found.out, AllOf(HasSubstr("warning   " + address_of(ill) + " timeout: 300"),
                               HasSubstr("-p " + std::to_string(ill.port()) + " CONFIG SET timeout 0"),
                               HasSubstr("ok        " + address_of(ill) + " cluster: ok, 16384 of 16384"),
                               HasSubstr("0 in this cluster")));
  EXPECT_EQ(found.out.find("timeout: 300"), found.out.rfind("timeout: 300")) << "the others are well";
}

TEST_F(ClusterCommand, FindsALockWithoutAnEndAtAnyServer) {
  for (const std::string& key : keys_of_many_slots(3, "endless ")) {
    Server& master = cluster.master_of_key(key);
    master.command({"SET", key, "0b5c7b9e-3c1d-4a57-9d0e-6f2a8c4e1b73"});
    const auto found = redismutex({"doctor", "--url", cluster.url()});
    EXPECT_THAT(found.out, AllOf(HasSubstr("'" + key + "' has a UUID for its value"),
                                 HasSubstr("redismutex status --url redis+cluster://")));
    master.command({"DEL", key});
  }
}

TEST_F(ClusterCommand, TellsAClusterFromOneOfItsServers) {
  const std::string one = "redis://" + address_of(*cluster.masters().front());
  const auto same = redismutex({"doctor", "--url", cluster.url(), "--compare", cluster.url()});
  EXPECT_THAT(same.out, HasSubstr("ok        compare: both URLs lead to the same servers"));
  const auto part = redismutex({"doctor", "--url", cluster.url(), "--compare", one});
  EXPECT_EQ(part.status, exited(2));
  EXPECT_THAT(part.out, HasSubstr("critical  compare: one URL leads to a cluster"));
  const auto alone = redismutex({"doctor", "--url", one});
  EXPECT_EQ(alone.status, exited(2));
  EXPECT_THAT(alone.out, AllOf(HasSubstr("critical  cluster: it is one server of a cluster"),
                               HasSubstr("--url redis+cluster://127.0.0.1:")));
}

// A user may have all rights that locks need, and not see the map.
TEST_F(ClusterCommand, ExaminesWhatItMay) {
  for (std::size_t i = 0; i < Cluster::size; ++i) {
    cluster.node(i).command({"ACL", "SETUSER", "gil", "on", ">secret", "~*", "&*", "+@all", "-cluster"});
  }
  const std::string address = address_of(*cluster.masters().front());
  const auto found = redismutex({"doctor", "--url", "redis+cluster://gil:secret@" + address});
  for (std::size_t i = 0; i < Cluster::size; ++i) cluster.node(i).command({"ACL", "DELUSER", "gil"});
  EXPECT_THAT(found.out, AllOf(HasSubstr("warning   rights of the doctor: CLUSTER SLOTS is refused"),
                               HasSubstr("+cluster|slots"), HasSubstr("ok        " + address + " role: primary")));
}

// One of its servers by itself has the locks of some slots only. Last, for the floors of these locks stay for a minute.
TEST_F(ClusterCommand, SaysHowAClusterIsNamed) {
  const Server& one = *cluster.masters().front();
  std::string said;
  for (const std::string& key : keys) {
    const auto result = redismutex({"run", "-n", "--url", one.tcp_url(), key, "true"});
    if (result.status == exited(0)) continue;
    EXPECT_EQ(result.status, exited(70)) << result.err;
    said = result.err;
  }
  EXPECT_THAT(said, AllOf(HasSubstr(": MOVED "), HasSubstr(" (the server is one of a cluster: use redis+cluster://" +
                                                           address_of(one) + ")\n")));
}

}  // namespace
}  // namespace redismutex::testing
