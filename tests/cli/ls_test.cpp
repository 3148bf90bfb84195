// `redismutex ls` lists mutexes, without harm to a server that has much else to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "on_call.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class LsTest : public ::testing::Test, protected OnCall {
 protected:
  Lock hold(const std::string& key, const std::string& label = {}) {
    const Options options{.blocking = false, .expiry = 60s, .label = label};
    auto lock = RedisMutex{connection, options}.acquire_lock(key);
    if (!label.empty()) {
      EXPECT_TRUE(eventually(limit, [&] { return inspect(connection, key).label.has_value(); }));
    }
    return lock;
  }

  void fill(int count) {
    server.command(
        {"EVAL", "for i = 1, ARGV[1] do redis.call('SET', 'other:' .. i, 'x') end", "0", std::to_string(count)});
  }
};

TEST_F(LsTest, ListsWhatHasALabelOrAWaiter) {
  const auto labelled = hold("labelled", "nightly");
  const auto plain = hold("plain");
  const auto waited_for = holder("waited-for");
  const auto next = waiter("waited-for");
  const auto result = run({"ls"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, AllOf(StartsWith("KEY "), HasSubstr("labelled "), HasSubstr("nightly"),
                                HasSubstr("waited-for "), Not(HasSubstr("plain"))));
  EXPECT_THAT(result.err, AllOf(HasSubstr("2 locks"), HasSubstr("with PATTERN or --all only")));
  EXPECT_THAT(run({"ls", "--all"}).out, HasSubstr("\nplain "));
  const auto some = run({"ls", "pl*"});
  EXPECT_THAT(some.out, AllOf(HasSubstr("\nplain "), Not(HasSubstr("labelled"))));
  EXPECT_THAT(some.err, AllOf(HasSubstr("1 lock,"), Not(HasSubstr("--all only"))));
  EXPECT_THAT(run({"ls", "--waiting", "--all"}).out, AllOf(HasSubstr("waited-for"), Not(HasSubstr("plain"))));
  EXPECT_EQ(run({"ls", "--older", "1h", "-o", "key"}).out, "");
}

// Nobody knows how old a lock is that another program left without a TTL: it may be what is looked for.
TEST_F(LsTest, TakesALockWithoutAnEndForOld) {
  server.command({"SET", "x:endless", "6a0c5b1e-8c6e-4b0e-9d6f-0d3a5b8c7e11"});
  server.command({"SET", "x:other", "7a0c5b1e-8c6e-4b0e-9d6f-0d3a5b8c7e11", "PX", "60000"});
  EXPECT_EQ(run({"ls", "x:*", "--older", "1s", "-o", "key"}).out, "x:endless\n");
}

TEST_F(LsTest, HasTheColumnsAndTheOrderThatAreAskedFor) {
  const auto first = hold("b", "first");
  const auto second = hold("a", "second");
  EXPECT_EQ(run({"ls", "-o", "key"}).out, "b\na\n");
  EXPECT_EQ(run({"ls", "-o", "key,id", "--sort", "key"}).out, "a  " + second.value() + "\nb  " + first.value() + "\n");
  const auto unknown = run({"ls", "-o", "key,colour"});
  EXPECT_EQ(unknown.status, exited(64));
  EXPECT_THAT(unknown.err, HasSubstr("these are: key,holder"));
  const auto both = run({"ls", "--json", "-o", "key"});
  EXPECT_EQ(both.status, exited(64));
  EXPECT_THAT(both.err, HasSubstr("--output excludes --json"));
  const auto lines = run({"ls", "--json", "--sort", "key"}).out;
  const auto line = json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(line.at("key"), "a");
  EXPECT_EQ(line.at("holder").at("label"), "second");
}

// No step keeps the server longer than a millisecond, and each key is looked at once.
TEST_F(LsTest, TakesLittleOfTheServerAtATime) {
  fill(20'000);
  const auto lock = hold("k", "x");
  server.command({"CONFIG", "RESETSTAT"});
  EXPECT_THAT(run({"ls", "-o", "key"}).out, "k\n");
  const auto calls = server.command_calls()["scan"];
  EXPECT_GE(calls, 20'000 / 1000);
  EXPECT_LE(calls, 20'000 / 100 * 2);
  server.command({"CONFIG", "RESETSTAT"});
  EXPECT_THAT(run({"ls", "-o", "key", "--count", "50"}).out, "k\n");
  EXPECT_GE(server.command_calls()["scan"], 20'000 / 50 / 2);
}

// Much is asked of a server only when a person has agreed.
TEST_F(LsTest, AsksBeforeItLooksAtMany) {
  fill(100'001);
  const auto nobody = run({"ls", "--all"});
  EXPECT_EQ(nobody.status, exited(64));
  EXPECT_THAT(nobody.err, AllOf(HasSubstr("100,001 keys"), HasSubstr("--yes")));
  TerminalJob job{{.arguments = {REDISMUTEX_COMMAND, "ls", "--all"}, .environment = {"REDIS_URL=" + server.url()}}};
  job.type("n\n");
  EXPECT_EQ(job.next_event(), "exit code 75");
  std::string output;
  EXPECT_TRUE(eventually(limit, [&] {
    output += job.output();
    return output.find("nothing was looked at") != std::string::npos;
  })) << output;
  EXPECT_THAT(output, Not(HasSubstr("KEY ")));
  EXPECT_EQ(run({"ls", "--all", "--yes", "--rate", "100"}).status, exited(0));
}

// Ctrl-C: what was found so far, and that this is not all.
TEST_F(LsTest, InterruptedPrintsWhatThereIs) {
  fill(50'000);
  const auto listing = start({"ls", "--rate", "1", "--count", "10"});
  ASSERT_TRUE(eventually(limit, [&] { return server.command_calls()["scan"] > 2; }));
  listing.kill(SIGINT);
  EXPECT_EQ(listing.wait(limit), exited(130));
  EXPECT_THAT(listing.stdout_text(), StartsWith("KEY "));
  EXPECT_THAT(listing.stderr_text(), HasSubstr("stopped after "));
}

// How far it is, in a line that is written anew; gone when the table comes.
TEST_F(LsTest, ShowsOnATerminalHowFarItIs) {
  fill(300'000);
  TerminalJob job{Program{.arguments = {REDISMUTEX_COMMAND, "ls", "--rate", "1", "--count", "10"},
                          .environment = {"REDIS_URL=" + server.url(), "NO_COLOR=1"}}};
  std::string output;
  const auto shows = [&](const std::string& text) {
    return eventually(limit, [&] {
      output += job.output();
      return output.find(text) != std::string::npos;
    });
  };
  EXPECT_TRUE(shows("\r\x1b[Kscanned ")) << output;
  EXPECT_TRUE(shows(" locks, 1 s\r\x1b[Kscanned ")) << output;
  EXPECT_THAT(output, ContainsRegex("scanned [0-9]+ % of 300,000 keys, 0 locks, 1 s"));
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "exit code 130");
  EXPECT_TRUE(shows("\r\x1b[KKEY ")) << output;
  EXPECT_TRUE(shows("stopped after ")) << output;
}

// In 80 columns: the times whole, of a long key both ends, and no token.
TEST_F(LsTest, FitsIntoTheTerminal) {
  const auto lock =
      hold("import:" + std::string(60, 'x') + ":2026-11-30", "a label that is much longer than there is room");
  const auto listing = [&](const std::string& words) {
    TerminalJob job{Program{.arguments = {"sh", "-c", "stty cols 80; exec " REDISMUTEX_COMMAND " ls " + words},
                            .environment = {"REDIS_URL=" + server.url(), "NO_COLOR=1"}}};
    EXPECT_EQ(job.next_event(), "exit code 0");
    return job.output();
  };
  const auto output = listing("'import:*'");
  EXPECT_THAT(output, AllOf(HasSubstr("import:x"), HasSubstr("-11-30  "), HasSubstr("...  "), HasSubstr("LONGEST\r\n"),
                            Not(HasSubstr("TOKEN"))));
  std::istringstream lines{output};
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 81U) << line;
  EXPECT_THAT(listing("-o key,token 'import:*'"), HasSubstr("TOKEN"));
}

TEST_F(LsTest, TellsLeasesInTwoUnits) {
  const auto held = run({"hold", "--lease", "2h", "k"});
  ASSERT_EQ(held.status, exited(0)) << held.err;
  EXPECT_EQ(run({"ls", "-o", "lease", "k"}).out, "1h59m\n");
}

// A file or a pipe gets no such line.
TEST_F(LsTest, ShowsNowhereElseHowFarItIs) {
  fill(300'000);
  const auto listing = start({"ls", "--rate", "1", "--count", "10"});
  const auto calls = [&] { return server.command_calls()["scan"]; };
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually(limit, [&] { return calls() > 2 && std::chrono::steady_clock::now() - began > 1500ms; }));
  listing.kill(SIGINT);
  EXPECT_EQ(listing.wait(limit), exited(130));
  EXPECT_THAT(listing.stderr_text(), AllOf(HasSubstr("stopped after "), Not(HasSubstr("scanned"))));
}

TEST_F(LsTest, WatchTellsWhatComesAndGoes) {
  const auto watch = start({"ls", "--watch=0.1"});
  const auto says = [&](const std::string& text) {
    return eventually(limit, [&] { return watch.stdout_text().find(text) != std::string::npos; });
  };
  {
    auto lock = hold("k", "x");
    EXPECT_TRUE(says("Z k held by "));
  }
  EXPECT_TRUE(says("Z k free"));
  watch.kill(SIGTERM);
  EXPECT_EQ(watch.wait(limit), killed_by(SIGTERM));
}

// The users of operators: just the rights that docs/operate.md lists.
class OperatorsRightsTest : public LsTest {
 protected:
  OperatorsRightsTest() {
    const bool is_7 = server.version() >= Version{7, 0, 0};
    const bool is_7_2 = server.version() >= Version{7, 2, 0} || server.product() == "valkey";
    const std::string looking =
        "-@all +hello +select +ping +script|load +time +type +pttl +strlen +getrange +exists +zcount +zrangebyscore "
        "+zscore +scan +dbsize +client|list +info +pubsub|numsub" +
        std::string(is_7 ? " %R~* +evalsha_ro +pubsub|shardnumsub" : " ~* +evalsha") +
        (is_7_2 ? " +client|setinfo" : "");
    add("looks", looking);
    add("breaks",
        looking +
            " ~* &redismutex:* +set +get +del +unlink +pexpire +psetex +multi +exec +zadd +zrem +zrange +evalsha "
            "+client|tracking +client|caching" +
            (is_7 ? " +ssubscribe +spublish" : " +subscribe +publish"));
  }

  void add(const std::string& name, const std::string& rights) {
    std::vector<std::string> command{"ACL", "SETUSER", name, "on", ">secret"};
    for (const auto& word : split(rights)) {
      if (word[0] != '&' || server.version() >= Version{6, 2, 0}) command.push_back(word);
    }
    ASSERT_FALSE(server.command(command).is_error());
  }

  static std::vector<std::string> split(const std::string& text) {
    std::istringstream words{text};
    return {std::istream_iterator<std::string>{words}, {}};
  }

  Result run_as(const std::string& user, const std::vector<std::string>& words) {
    return redismutex(words, {"REDIS_URL=unix://" + user + ":secret@" + server.socket_path()});
  }

  long long denials() { return static_cast<long long>(server.command({"ACL", "LOG"}).elements.size()); }
};

TEST_F(OperatorsRightsTest, AreEnough) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  for (const auto& words : {with_processes({"status", "k"}), std::vector<std::string>{"ls", "k"}}) {
    const auto result = run_as("looks", words);
    EXPECT_EQ(result.status, exited(0)) << result.err;
    EXPECT_THAT(result.out, Not(HasSubstr("?")));
    EXPECT_THAT(result.err, Not(HasSubstr("lacks")));
  }
  EXPECT_EQ(denials(), 0) << "nothing was tried in vain";
  EXPECT_EQ(run_as("looks", {"break", "--yes", "k"}).status, exited(70));
  const auto result = run_as("breaks", {"break", "--yes", "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_EQ(inside.wait(limit), exited(79));
  EXPECT_EQ(next.wait(limit), exited(0));
}

// With fewer it shows less, and says which are missing.
TEST_F(OperatorsRightsTest, FewerShowLess) {
  const auto inside = holder("k");
  add("few",
      "-@all +hello +select +ping +script|load +time +type +pttl +strlen +getrange +exists +zcount "
      "+zrangebyscore +zscore ~* +evalsha");
  const auto result = run_as("few", {"status", "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, HasSubstr("your user lacks +client|list"));
  EXPECT_THAT(result.err, HasSubstr("the server's user lacks +client|list"));
}

}  // namespace
}  // namespace redismutex::testing
