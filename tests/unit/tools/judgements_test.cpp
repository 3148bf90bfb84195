// What `redismutex doctor` thinks of what servers say: of what servers of each family said, which was recorded (replies/record), and of
// servers that are ill, which are these with other values.

#include "on_call/judgements.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace redismutex::cli {

void PrintTo(const Finding& finding, std::ostream* out) {
  *out << static_cast<int>(finding.level) << " " << finding.check << ": " << finding.text << " -> " << finding.remedy;
}

namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

/// A reply to INFO, as server_info() reads it.
std::map<std::string, std::string> read(const std::filesystem::path& file) {
  std::map<std::string, std::string> fields;
  std::ifstream lines{file};
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon != std::string::npos && line[0] != '#') fields[line.substr(0, colon)] = line.substr(colon + 1);
  }
  return fields;
}

ServerFacts recorded(const std::string& name) {
  return {.fields = read(std::string{REDISMUTEX_RECORDED_INFO "/"} + name + ".info"),
          .settings = {{"appendfsync", "everysec"},
                       {"maxclients", "10000"},
                       {"min-replicas-to-write", "1"},
                       {"timeout", "0"},
                       {"client-output-buffer-limit",
                        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
                       {"tracking-table-max-keys", "1000000"}},
          .may_ask = true,
          .may_configure = true};
}

/// The same with another value in INFO.
ServerFacts with(const std::string& field, const std::string& value) {
  auto facts = recorded("redis-7.0");
  EXPECT_TRUE(facts.fields.contains(field)) << field;
  facts.fields[field] = value;
  return facts;
}

/// The same with another setting.
ServerFacts with_setting(const std::string& name, const std::string& value) {
  auto facts = recorded("redis-7.0");
  facts.settings[name] = value;
  return facts;
}

const Way way{"-h db1 -p 6379"};

auto finds(Level level, const std::string& check, const std::string& text) {
  return Contains(
      AllOf(Field(&Finding::level, level), Field(&Finding::check, check), Field(&Finding::text, HasSubstr(text))));
}
auto warns(const std::string& check, const std::string& text) { return finds(Level::warning, check, text); }
auto accepts(const std::string& check, const std::string& text) { return finds(Level::good, check, text); }
auto advises(const std::string& remedy) { return Contains(Field(&Finding::remedy, HasSubstr(remedy))); }
auto is_content() { return Not(Contains(Field(&Finding::level, Not(Level::good)))); }

struct Recorded {
  std::string name;
  std::string version;
  int major;  ///< by which servers tell what they can do
  int minor;
};

void PrintTo(const Recorded& recorded, std::ostream* out) { *out << recorded.name; }

class OfEachServer : public ::testing::TestWithParam<Recorded> {};

TEST_P(OfEachServer, WhatItSaysIsRead) {
  const auto facts = recorded(GetParam().name);
  EXPECT_THAT(judge_version(facts), ElementsAre(Field(&Finding::text, MatchesRegex(GetParam().version))));
  EXPECT_EQ(facts.version().major, GetParam().major);
  EXPECT_EQ(facts.version().minor, GetParam().minor);
  EXPECT_THAT(judge_role(facts), accepts("role", "primary"));
  EXPECT_THAT(judge_memory(facts, way), AllOf(is_content(), accepts("maxmemory-policy", "noeviction")));
  EXPECT_THAT(judge_persistence(facts, way), AllOf(is_content(), accepts("persistence", "appendfsync everysec")));
  EXPECT_THAT(judge_replicas(facts, way), AllOf(is_content(), accepts("replicas", "1, min-replicas-to-write 1"),
                                                accepts("replica lag", "was heard 1 s ago")));
  EXPECT_THAT(judge_clients(facts, way), AllOf(is_content(), accepts("maxclients", "of 10000")));
  EXPECT_THAT(judge_waking(facts, 0, way), IsEmpty());
  EXPECT_THAT(judge_stalls(facts), AllOf(is_content(), accepts("fork", " ms")));
  EXPECT_TRUE(facts.fields.contains("tracking_total_keys"));
  EXPECT_TRUE(facts.fields.contains("aof_delayed_fsync"));
  EXPECT_TRUE(facts.fields.contains("aof_last_write_status"));
  EXPECT_TRUE(facts.fields.contains("uptime_in_seconds"));
  EXPECT_FALSE(facts.info("run_id").empty());
}

// From 7.0 on waiters are woken by channels that patterns do not see.
TEST_P(OfEachServer, ListenersToEverythingMatterBeforeSevenOnly) {
  const auto findings = judge_waking(recorded(GetParam().name), 3, way);
  if (GetParam().major < 7) {
    EXPECT_THAT(findings, AllOf(warns("pattern subscribers", "3 clients use PSUBSCRIBE"),
                                advises("redis-cli -h db1 -p 6379 CLIENT LIST TYPE pubsub")));
  } else {
    EXPECT_THAT(findings, IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, OfEachServer,
                         ::testing::Values(Recorded{"redis-6.0", "Redis 6\\.0\\.[0-9]+", 6, 0},
                                           Recorded{"redis-7.0", "Redis 7\\.0\\.[0-9]+", 7, 0},
                                           Recorded{"redict-7.3", "Redict 7\\.3\\.[0-9]+", 7, 2},
                                           Recorded{"valkey-8.0", "Valkey 8\\.0\\.[0-9]+", 7, 2},
                                           Recorded{"redis-8.0", "Redis 8\\.0\\.[0-9]+", 8, 0},
                                           Recorded{"valkey-8.1", "Valkey 8\\.1\\.[0-9]+", 7, 2},
                                           Recorded{"valkey-9", "Valkey 9\\.[0-9]+\\.[0-9]+", 7, 2}),
                         [](const auto& server) {
                           std::string name = server.param.name;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

TEST(Judgements, OfVersions) {
  EXPECT_THAT(judge_version(with("redis_version", "5.0.14")),
              AllOf(finds(Level::critical, "version", "Redis 5.0.14"), advises("upgrade")));
  EXPECT_THAT(judge_version(with("redis_version", "10.2.0")), accepts("version", "Redis 10.2.0"));
  EXPECT_THAT(judge_version({}), finds(Level::critical, "version", "Redis"));
}

TEST(Judgements, OfRoles) {
  auto replica = with("role", "slave");
  replica.fields["master_host"] = "db0";
  replica.fields["master_port"] = "7000";
  EXPECT_THAT(judge_role(replica),
              AllOf(finds(Level::critical, "role", "it is a replica"), advises("--url redis://db0:7000")));
  EXPECT_THAT(judge_role(with("role", "sentinel")), accepts("role", "sentinel"));
}

TEST(Judgements, OfLatencies) {
  EXPECT_THAT(
      judge_latency({40us, 60us, 9ms, 8ms}, way),
      accepts("latency", "shortest 0.04 ms, middle 0.06 ms, longest 9 ms; this machine alone stands still for 8 ms"));
  EXPECT_THAT(judge_latency({9ms, 30ms, 40ms, 0ms}, way),
              AllOf(warns("latency", "middle 30 ms"), advises("redis-cli -h db1 -p 6379 --latency")));
  EXPECT_THAT(judge_latency({40us, 60us, 250ms, 1ms}, way),
              AllOf(warns("latency", "the server or the network stands still"), advises("SLOWLOG GET")));
  EXPECT_THAT(judge_latency({40us, 60us, 250ms, 200ms}, way), is_content()) << "that is this machine's";
}

TEST(Judgements, OfStandstills) {
  EXPECT_THAT(judge_stalls(with("latest_fork_usec", "450000")), warns("fork", "stopped the server for 450 ms"));
  EXPECT_THAT(judge_stalls(with("latest_fork_usec", "900")), accepts("fork", "0.9 ms"));
  EXPECT_THAT(judge_stalls(with("latest_fork_usec", "0")), IsEmpty());
  auto slow_disk = with("aof_delayed_fsync", "12");
  slow_disk.fields["uptime_in_seconds"] = "172801";
  EXPECT_THAT(judge_stalls(slow_disk), warns("disk", "12 times in 3 days"));
  slow_disk.fields["uptime_in_seconds"] = "8640000";
  EXPECT_THAT(judge_stalls(slow_disk), is_content()) << "seldom";
}

TEST(Judgements, OfClocks) {
  EXPECT_THAT(judge_clock(-900ms, 1ms), accepts("clock", "-900 ms, +- 1 ms"));
  EXPECT_THAT(judge_clock(-1200ms, 1ms), AllOf(warns("clock", "-1.2e+03 ms"), advises("set-ntp")));
  EXPECT_THAT(judge_clock(1200ms, 300ms), is_content()) << "it may be the network";
}

TEST(Judgements, OfMemory) {
  auto evicts = with("maxmemory_policy", "volatile-lru");
  EXPECT_THAT(judge_memory(evicts, way), AllOf(finds(Level::critical, "maxmemory-policy", "volatile-lru"),
                                               advises("CONFIG SET maxmemory-policy noeviction")));
  evicts.fields["maxmemory"] = "0";
  EXPECT_THAT(judge_memory(evicts, way), accepts("maxmemory-policy", "no limit"));
  auto full = with("maxmemory", "1000000");
  full.fields["used_memory"] = "910000";
  EXPECT_THAT(judge_memory(full, way), AllOf(warns("memory", "91 %"), advises("CONFIG SET maxmemory 2000000")));
  full.fields["used_memory"] = "890000";
  EXPECT_THAT(judge_memory(full, way), is_content());
}

TEST(Judgements, OfPersistence) {
  EXPECT_THAT(judge_persistence(with("aof_enabled", "0"), way),
              AllOf(warns("persistence", "no append-only file"), advises("CONFIG SET appendonly yes")));
  EXPECT_THAT(judge_persistence(with("aof_last_write_status", "err"), way),
              finds(Level::critical, "persistence", "can not be written"));
  EXPECT_THAT(judge_persistence(with_setting("appendfsync", "no"), way),
              AllOf(warns("persistence", "appendfsync no"), advises("CONFIG SET appendfsync everysec")));
  auto silent = recorded("redis-7.0");
  silent.settings.clear();
  EXPECT_THAT(judge_persistence(silent, way), accepts("persistence", "appendfsync unknown"));
}

TEST(Judgements, OfReplicas) {
  EXPECT_THAT(judge_replicas(with("connected_slaves", "0"), way), ElementsAre(Field(&Finding::text, HasSubstr("0, "))));
  EXPECT_THAT(judge_replicas(with_setting("min-replicas-to-write", "0"), way),
              AllOf(warns("replicas", "cut off"), advises("CONFIG SET min-replicas-to-write 1")));
  const std::string place = "ip=10.0.0.2,port=6380,";
  const auto seen = [&](const std::string& replica) {
    auto facts = with("slave0", place + replica);
    facts.fields["master_repl_offset"] = "9000000";
    return judge_replicas(facts, way);
  };
  EXPECT_THAT(seen("state=online,offset=9000000,lag=0"),
              accepts("replica lag", "10.0.0.2:6380 was heard 0 s ago, 0 bytes behind"));
  EXPECT_THAT(seen("state=online,offset=9000014,lag=1"), accepts("replica lag", "0 bytes behind")) << "it was quicker";
  EXPECT_THAT(seen("state=online,offset=8999000,lag=6"),
              AllOf(warns("replica lag", "was heard 6 s ago, 1000 bytes behind"), advises("INFO replication")));
  EXPECT_THAT(seen("state=online,offset=1000000,lag=1"), warns("replica lag", "8000000 bytes behind"));
  EXPECT_THAT(seen("state=wait_bgsave,offset=0,lag=0"), warns("replica lag", "not in step yet (wait_bgsave)"));
  EXPECT_THAT(seen("state=online,offset=9000000"), warns("replica lag", "does not say how far"));
  EXPECT_THAT(seen("state=online,offset=9000000,lag=-1"), warns("replica lag", "does not say how far"));
}

TEST(Judgements, OfClients) {
  EXPECT_THAT(judge_clients(with("connected_clients", "9001"), way),
              AllOf(warns("maxclients", "9001 connections of 10000"), advises("CONFIG SET maxclients 20000")));
  EXPECT_THAT(judge_clients(with_setting("timeout", "300"), way),
              AllOf(warns("timeout", "300"), advises("CONFIG SET timeout 0")));
  EXPECT_THAT(
      judge_clients(with_setting("client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 65536 32768 60"), way),
      warns("client-output-buffer-limit", "pubsub 65536 bytes"));
  EXPECT_THAT(judge_clients(with_setting("client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 0 0 0"), way),
              is_content())
      << "no limit";
  auto silent = recorded("redis-7.0");
  silent.settings.clear();
  silent.may_configure = false;
  EXPECT_THAT(judge_clients(silent, way), AllOf(is_content(), accepts("configuration", "CONFIG GET is refused")));
  silent.fields.erase("maxclients");
  EXPECT_THAT(judge_clients(silent, way), accepts("maxclients", "of unknown"));
}

TEST(Judgements, OfTheTrackingTable) {
  auto full = with("tracking_total_keys", "950000");
  EXPECT_THAT(judge_waking(full, std::nullopt, way),
              AllOf(warns("tracking table", "950000 keys of 1000000"), advises("tracking-table-max-keys 2000000")));
  full.settings["tracking-table-max-keys"] = "0";
  EXPECT_THAT(judge_waking(full, std::nullopt, way), IsEmpty()) << "no limit";
}

// ---- clusters -------------------------------------------------------------------------------------------------------

TEST(Judgements, OfACluster) {
  EXPECT_THAT(
      judge_cluster("cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n", way),
      ElementsAre(AllOf(Field(&Finding::level, Level::good), Field(&Finding::text, HasSubstr("ok, 16384 of")))));
  EXPECT_THAT(
      judge_cluster("cluster_state:fail\r\ncluster_slots_ok:10923\r\n", way),
      ElementsAre(AllOf(Field(&Finding::level, Level::critical), Field(&Finding::text, HasSubstr("fail, 10923 of")),
                        Field(&Finding::remedy, way.command("CLUSTER NODES")))));
  EXPECT_THAT(judge_cluster("something else", way), IsEmpty());
}

TEST(Judgements, OfAServerThatIsOneOfACluster) {
  EXPECT_THAT(judge_single({.fields = {{"cluster_enabled", "1"}}}, "db1:1"),
              ElementsAre(AllOf(Field(&Finding::level, Level::critical),
                                Field(&Finding::remedy, HasSubstr("redis+cluster://db1:1")))));
  EXPECT_THAT(judge_single({.fields = {{"cluster_enabled", "0"}}}, "db1:1"), IsEmpty());
  EXPECT_THAT(judge_single({}, "db1:1"), IsEmpty());
}

}  // namespace
}  // namespace redismutex::cli
