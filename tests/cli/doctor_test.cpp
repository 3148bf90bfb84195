// `redismutex doctor` finds what is wrong with a server, says what mends it, and ends as monitoring systems expect. Each check
// against a server that has what it looks for, and each is silent about one that has not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <deque>

#include "command.hpp"
#include "support/certificates.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Result doctor_at(const std::string& url, const std::vector<std::string>& options = {}) {
  std::vector<std::string> words{"doctor"};
  words.insert(words.end(), options.begin(), options.end());
  return redismutex(words, {"REDIS_URL=" + url});
}

/// Older servers do not tell which rights are missing, and that is a warning.
ExitStatus contented(Server& server) { return exited(server.version() < Version{7, 0, 0} ? 1 : 0); }

std::vector<std::string> good_settings() { return {"appendonly yes", "timeout 0"}; }

TEST(Doctor, IsContentWithAServerThatIsSetUpForLocks) {
  Server server({.directives = good_settings()});
  const auto result = doctor_at(server.url(), {"--write"});
  EXPECT_EQ(result.status, exited(0)) << result.out;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("ok        reached: unix://"), HasSubstr("version: "), HasSubstr("role: primary"),
                    HasSubstr("latency: 100 pings"), HasSubstr("clock: "), Not(HasSubstr("->"))));
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
}

struct Ailing {
  std::string directive;
  int status;
  std::string finding;
  std::string remedy;
};

void PrintTo(const Ailing& ailing, std::ostream* out) { *out << ailing.finding; }

class DoctorOf : public ::testing::TestWithParam<Ailing> {};

TEST_P(DoctorOf, FindsWhatIsWrongAndWhatMendsIt) {
  auto directives = good_settings();
  directives.push_back(GetParam().directive);
  Server server({.directives = directives});
  const auto result = doctor_at(server.url());
  EXPECT_EQ(result.status, exited(GetParam().status)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr(GetParam().finding), HasSubstr(GetParam().remedy)));
}

INSTANTIATE_TEST_SUITE_P(
    Servers, DoctorOf,
    ::testing::Values(
        Ailing{"maxmemory-policy allkeys-lru\nmaxmemory 100mb", 2, "critical  maxmemory-policy: allkeys-lru",
               "CONFIG SET maxmemory-policy noeviction"},
        Ailing{"min-replicas-to-write 1", 2, "critical  replicas: 0", "connect more replicas"},
        Ailing{"maxmemory-policy noeviction\nmaxmemory 700kb", 2, "critical  memory: ", "CONFIG SET maxmemory 1433600"},
        Ailing{"appendonly no", 1, "warning   persistence: no append-only file", "CONFIG SET appendonly yes"},
        Ailing{"appendfsync no", 1, "warning   persistence: appendfsync no", "CONFIG SET appendfsync everysec"},
        Ailing{"timeout 300", 1, "warning   timeout: 300", "CONFIG SET timeout 0"},
        Ailing{"client-output-buffer-limit pubsub 64kb 32kb 60", 1,
               "warning   client-output-buffer-limit: pubsub 65536", "CONFIG SET client-output-buffer-limit"},
        Ailing{"maxclients 2", 1, "warning   maxclients: 2 connections of 2", "CONFIG SET maxclients 4"}),
    [](const auto& server) {
      std::string name = server.param.directive;
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

TEST(Doctor, FindsThatThereAreNoConnectionsLeft) {
  auto directives = good_settings();
  directives.push_back("maxclients 10");
  Server server({.directives = directives});
  std::deque<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(server.socket_path());
    clients.back().command({"PING"});
  }
  const auto result = doctor_at(server.url());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("warning   maxclients: 10 connections of 10"), HasSubstr("CONFIG SET maxclients 20")));
}

TEST(Doctor, IsCriticalOfAServerThatAScriptKeepsBusy) {
  Server server({.directives = {"appendonly yes", "lua-time-limit 50"}});
  const ChildProcess script(
      Program{.arguments = {"redis-cli", "-s", server.socket_path(), "EVAL", "while true do end", "0"}});
  const std::string says = "SCRIPT KILL";
  std::string seen;
  EXPECT_TRUE(eventually(limit, [&] {
    const auto result = doctor_at(server.url());
    seen = result.out;
    return result.status == exited(2) && seen.find(says) != std::string::npos;
  })) << seen;
  server.command({"SCRIPT", "KILL"});
}

TEST(Doctor, FindsAFullTrackingTable) {
  auto directives = good_settings();
  directives.push_back("tracking-table-max-keys 1");
  Server server({.directives = directives});
  RawClient tracking{server.socket_path()};
  tracking.command({"HELLO", "3"});
  tracking.command({"CLIENT", "TRACKING", "ON"});
  tracking.command({"GET", "k"});
  const auto result = doctor_at(server.url());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("warning   tracking table: 1 keys of 1"),
                                HasSubstr("CONFIG SET tracking-table-max-keys 2")));
}

// From Redis 7.0 on waiters are woken by channels that patterns do not see.
TEST(Doctor, FindsThoseWhoListenToEverything) {
  Server server({.directives = good_settings()});
  RawClient listener{server.socket_path()};
  listener.command({"PSUBSCRIBE", "*"});
  const auto result = doctor_at(server.url());
  const bool is_seen = server.version() < Version{7, 0, 0};
  EXPECT_EQ(result.status, contented(server)) << result.out;
  EXPECT_EQ(result.out.find("pattern subscribers: 1") != std::string::npos, is_seen);
}

TEST(Doctor, FindsACertificateThatNobodyVerifies) {
  const Certificates certificates;
  Server server({.tls = certificates.tls(certificates.server()), .directives = good_settings()});
  const auto verified = doctor_at(server.tls_url() + "?ca_file=" + certificates.ca_file());
  EXPECT_EQ(verified.status, contented(server)) << verified.out;
  EXPECT_THAT(verified.out, HasSubstr("TLS, certificate verified"));
  const auto blind = doctor_at(server.tls_url() + "?verify=no");
  EXPECT_EQ(blind.status, exited(1)) << blind.out;
  EXPECT_THAT(blind.out, HasSubstr("warning   reached: "));
}

TEST(Doctor, IsCriticalOfAReplica) {
  const Server primary({.tcp = true});
  Server replica({.directives = good_settings()});
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  const auto result = doctor_at(replica.url());
  EXPECT_EQ(result.status, exited(2));
  EXPECT_THAT(result.out, AllOf(HasSubstr("critical  role: it is a replica"),
                                HasSubstr("--url redis://127.0.0.1:" + std::to_string(primary.port()))));
}

TEST(Doctor, FindsReplicasThatNobodyWaitsFor) {
  Server primary({.tcp = true, .directives = good_settings()});
  Server replica;
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  ASSERT_TRUE(eventually(limit, [&] { return primary.info("replication")["connected_slaves"] == "1"; }));
  const auto result = doctor_at(primary.url());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("warning   replicas: 1"), HasSubstr("CONFIG SET min-replicas-to-write 1")));
}

TEST(Doctor, TellsHowFarReplicasAre) {
  auto directives = good_settings();
  directives.push_back("min-replicas-to-write 1");
  Server primary({.tcp = true, .directives = directives});
  Server replica;
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  ASSERT_TRUE(eventually(
      limit, [&] { return primary.info("replication")["slave0"].find("state=online") != std::string::npos; }));
  std::string seen;
  EXPECT_TRUE(eventually(limit, [&] {
    const auto result = doctor_at(primary.url());
    seen = result.out;
    return result.status == contented(primary) && seen.find("ok        replica lag: 127.0.0.1:") != std::string::npos;
  })) << seen;
  replica.pause();
  // It is behind as soon as there is something that it does not have.
  primary.command({"EVAL", "for i = 1, 20 do redis.call('SET', 'k', string.rep('x', 100000)) end", "0"});
  const auto result = doctor_at(primary.url());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("warning   replica lag: 127.0.0.1:"), HasSubstr("bytes behind"),
                                HasSubstr("INFO replication")));
  replica.resume();
}

TEST(Doctor, SuspectsAProxyThatHidesTheConnection) {
  Server server({.users = {"erin on >secret ~* &* +@all -client"}, .directives = good_settings()});
  const auto result = doctor_at("unix://erin:secret@" + server.socket_path());
  EXPECT_THAT(result.out, HasSubstr("warning   proxy: CLIENT ID is refused"));
}

TEST(Doctor, SaysWhatItCanNotSeeOfTheSettings) {
  Server server({.users = {"fay on >secret ~* &* +@all -config"}, .directives = good_settings()});
  const auto result = doctor_at("unix://fay:secret@" + server.socket_path());
  EXPECT_EQ(result.status, contented(server)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("ok        configuration: CONFIG GET is refused"),
                                HasSubstr("persistence: append-only file, appendfsync unknown")));
}

TEST(Doctor, AdvisesADatabaseForLocksAlone) {
  Server server({.directives = good_settings()});
  server.command({"EVAL", "for i = 1, 100001 do redis.call('SET', i, 'x') end", "0"});
  const auto result = doctor_at(server.url());
  EXPECT_EQ(result.status, contented(server)) << result.out;
  EXPECT_THAT(result.out, HasSubstr("ok        keys: 100001 in this database: redismutex ls is slow here"));
}

// It may be data, too: nothing that would delete it is proposed.
TEST(Doctor, FindsWhatMayBeALockThatNeverEnds) {
  Server server({.directives = good_settings()});
  server.command({"SET", "old lock", "6a0c5b1e-8c6e-4b0e-9d6f-0d3a5b8c7e11"});
  server.command({"SET", "no lock", "words"});
  const auto result = doctor_at(server.url());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("'old lock' has a UUID for its value and no TTL: if that is a lock"),
                                HasSubstr("-> redismutex status 'old lock'\n"), Not(HasSubstr("PEXPIRE")),
                                Not(HasSubstr("no lock"))));
}

TEST(Doctor, FindsRightsThatAreMissing) {
  Server server({.users = {"alice on >secret ~* &* +@all -zadd"}, .directives = good_settings()});
  if (server.version() < Version{7, 0, 0}) {
    const auto untold = doctor_at("unix://alice:secret@" + server.socket_path());
    EXPECT_EQ(untold.status, exited(1)) << untold.out;
    EXPECT_THAT(untold.out,
                AllOf(HasSubstr("warning   rights: not checked"), HasSubstr("-> redismutex doctor --write\n")));
    return;
  }
  const auto vital = doctor_at("unix://alice:secret@" + server.socket_path());
  EXPECT_EQ(vital.status, exited(2)) << vital.out;
  EXPECT_THAT(vital.out, AllOf(HasSubstr("critical  rights: the user 'alice' lacks +zadd"),
                               HasSubstr(" --user ADMIN --askpass ACL SETUSER alice +zadd"), Not(HasSubstr("secret"))));
  server.command({"ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all", "-ssubscribe"});
  const auto other = doctor_at("unix://bob:secret@" + server.socket_path());
  EXPECT_EQ(other.status, exited(1)) << other.out;
  EXPECT_THAT(other.out, HasSubstr("warning   rights: the user 'bob' lacks +ssubscribe"));
}

// Which keys a user may lock is known by trying one of them.
TEST(Doctor, TriesTheKeyThatIsToBeLocked) {
  Server server({.users = {"kim on >secret ~redismutex* ~import:* &* +@all"}, .directives = good_settings()});
  const std::string url = "unix://kim:secret@" + server.socket_path();
  if (server.version() < Version{7, 0, 0}) {  // which does not tell
    EXPECT_THAT(doctor_at(url, {"--key", "export:7"}).out, Not(HasSubstr("tried with the key")));
    return;
  }
  EXPECT_THAT(doctor_at(url).out, HasSubstr("ok        rights: all that locks need, tried with the key "
                                            "'redismutex-doctor:x'; --key names another"));
  EXPECT_THAT(doctor_at(url, {"--key", "import:7"}).out, HasSubstr("ok        rights: "));
  const auto refused = doctor_at(url, {"--key", "export:7"});
  EXPECT_EQ(refused.status, exited(2)) << refused.out;
  EXPECT_THAT(refused.out,
              AllOf(HasSubstr("critical  rights: the user 'kim' lacks ~export:7, tried with the key 'export:7'"),
                    HasSubstr("ACL SETUSER kim '~export:7'")));
}

// The default user has a password, too, and no name.
TEST(Doctor, AsksForThePasswordWhereThereIsOne) {
  const Server server({.password = "right", .directives = {"appendonly no"}});
  EXPECT_THAT(doctor_at("unix://:right@" + server.socket_path()).out,
              HasSubstr("redis-cli -s " + server.socket_path() + " --askpass CONFIG SET appendonly yes"));
}

TEST(Doctor, MakesDoWithoutRightsOfItsOwn) {
  Server server({.users = {"carol on >secret ~* &* +@all -info -config -acl -dbsize"}, .directives = good_settings()});
  const auto result = doctor_at("unix://carol:secret@" + server.socket_path());
  EXPECT_EQ(result.status, exited(1)) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("warning   rights of the doctor: INFO is refused"), HasSubstr("latency: ")));
}

TEST(Doctor, TakesALockOnlyIfItIsToldTo) {
  Server server({.users = {"dave on >secret ~* &* +@all -set"}, .directives = good_settings()});
  const auto looks = doctor_at(server.url());
  EXPECT_THAT(looks.out, Not(HasSubstr("write:")));
  const auto writes = doctor_at(server.url(), {"--write"});
  EXPECT_EQ(writes.status, exited(0)) << writes.out;
  EXPECT_THAT(writes.out, HasSubstr("ok        write: a lock was taken"));
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
  const auto refused = doctor_at("unix://dave:secret@" + server.socket_path(), {"--write"});
  EXPECT_EQ(refused.status, exited(2)) << refused.out;
  EXPECT_THAT(refused.out, AllOf(HasSubstr("critical  write: "), HasSubstr("ACL SETUSER dave '~redismutex:*' "),
                                 HasSubstr(" +set "), Not(HasSubstr("PING"))));
}

TEST(Doctor, ComparesServers) {
  Server server({.tcp = true, .directives = good_settings()});
  const Server other;
  const auto same = doctor_at(server.url(), {"--compare", server.tcp_url()});
  EXPECT_EQ(same.status, contented(server)) << same.out;
  const auto different = doctor_at(server.url(), {"--compare", other.url()});
  EXPECT_EQ(different.status, exited(2));
  EXPECT_THAT(different.out, HasSubstr("critical  compare: the URLs lead to two servers"));
  const auto away = doctor_at(server.url(), {"--compare", "unix:///nowhere"});
  EXPECT_EQ(away.status, exited(2));
  EXPECT_THAT(away.out, AllOf(HasSubstr("critical  compare: "), HasSubstr("-> redis-cli -s /nowhere PING")));
}

TEST(Doctor, ComparesDatabasesToo) {
  Server server({.tcp = true, .directives = good_settings()});
  const std::vector<std::array<std::string, 2>> pairs{{"/1", "/2"}, {"", "/2"}, {"/2", "/0"}};
  for (const auto& [here, there] : pairs) {
    const auto result = doctor_at(server.tcp_url() + here, {"--compare", server.tcp_url() + there});
    EXPECT_EQ(result.status, exited(2)) << result.out;
    EXPECT_THAT(result.out,
                HasSubstr("critical  compare: the same server, but databases " + (here.empty() ? "0" : here.substr(1)) +
                          " and " + there.substr(1) + ": locks do not exclude each other"));
  }
  const auto same = doctor_at(server.tcp_url() + "/2", {"--compare", server.url() + "?db=2"});
  EXPECT_EQ(same.status, contented(server)) << same.out;
}

// What is to be pasted names the server as the command line did, with the login that is there; and the key.
TEST(Doctor, NamesTheServerAsItWasNamed) {
  Server server({.tcp = true,
                 .users = {"alice on >secret ~* &* +@all -acl", "dora on >secret ~* &* +@all"},
                 .directives = good_settings()});
  server.command({"SET", "old lock", "6a0c5b1e-8c6e-4b0e-9d6f-0d3a5b8c7e11"});
  const Notes notes;
  notes.write("url", "redis://alice:secret@127.0.0.1:" + std::to_string(server.port()) + "/0\n");
  const auto by_file = redismutex({"doctor", "--url-file", notes.path("url"), "--key", "app:x"});
  EXPECT_THAT(by_file.out, AllOf(HasSubstr("-> redismutex doctor --write --key app:x --url-file " + notes.path("url")),
                                 HasSubstr("-> redismutex status --url-file " + notes.path("url") + " 'old lock'\n"),
                                 Not(HasSubstr("secret"))));
  const std::string plain = "redis://127.0.0.1:" + std::to_string(server.port());
  const auto by_option = redismutex({"doctor", "--url", "redis://alice:secret@" + plain.substr(8)});
  EXPECT_THAT(by_option.out,
              AllOf(HasSubstr("-> redismutex doctor --write --url " + plain + "\n"), Not(HasSubstr("secret"))));
}

// A server that was started without a file has none to rewrite.
TEST(Doctor, KnowsThatThereIsNoConfigurationFile) {
  const TempDir directory;
  const std::string socket = directory.file("redis.sock");
  const ChildProcess server(Program{
      .arguments = {"redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory.path()}});
  std::string seen;
  EXPECT_TRUE(eventually(limit, [&] {
    seen = doctor_at("unix://" + socket).out;
    return seen.find("persistence: no append-only file") != std::string::npos;
  })) << seen;
  EXPECT_THAT(seen, AllOf(HasSubstr("-> redis-cli -s " + socket +
                                    " CONFIG SET appendonly yes; and start the server with --appendonly yes"),
                          Not(HasSubstr("REWRITE"))));
}

TEST(Doctor, PrintsJson) {
  const Server server({.directives = {"appendonly no"}});
  const auto result = doctor_at(server.url(), {"--json"});
  EXPECT_EQ(result.status, exited(1));
  EXPECT_THAT(result.out, AllOf(::testing::StartsWith("{\"schema\":1,\"server\":\"unix://"),
                                HasSubstr("\"status\":1,\"findings\":["),
                                HasSubstr("{\"check\":\"persistence\",\"level\":\"warning\",\"text\":"),
                                HasSubstr("\"remedy\":\"redis-cli -s ")));
}

TEST(Doctor, IsCriticalOfAServerThatIsNotThereOrDoesNotLetIn) {
  const auto away = doctor_at("unix:///nowhere");
  EXPECT_EQ(away.status, exited(2));
  EXPECT_THAT(away.out, AllOf(HasSubstr("critical  server: "), HasSubstr("redis-cli -s /nowhere PING")));
  const Server locked({.password = "right"});
  const auto refused = doctor_at("unix://:wr0ng@" + locked.socket_path());
  EXPECT_EQ(refused.status, exited(2));
  EXPECT_THAT(refused.out, AllOf(HasSubstr("critical  login: "), Not(HasSubstr("wr0ng"))));
}

TEST(Doctor, DoesNotKnowWhatItIsNotTold) {
  EXPECT_EQ(redismutex({"doctor", "--frob"}).status, exited(3));
  EXPECT_EQ(doctor_at("localhost").status, exited(3));
  EXPECT_EQ(doctor_at("unix:///nowhere", {"--compare", "localhost"}).status, exited(3));
  EXPECT_EQ(redismutex({"doctor", "--help"}).status, exited(0));
  const std::string unheard = std::string{"exec "} + REDISMUTEX_COMMAND + " doctor --url unix:///nowhere >/dev/full";
  EXPECT_EQ(ChildProcess(Program{.arguments = {"sh", "-c", unheard}}).wait(limit), exited(3));
}

}  // namespace
}  // namespace redismutex::testing
