// `redismutex hold` keeps a lock until a signal comes or its input ends, or for a time without any process; and says so.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <utility>

#include "command.hpp"
#include "support/eventually.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr auto held_k = "held k [0-9a-f-]+ [0-9]+\n";

class HoldTest : public ::testing::Test {
 protected:
  /// In a shell, for which the command is $HOLD.
  ChildProcess start(const std::string& script) {
    return ChildProcess(
        Program{.arguments = {"sh", "-c", script},
                .environment = {"HOLD=" REDISMUTEX_COMMAND " hold", "REDIS_URL=" + server_.url(), notes_.variable()}});
  }

  Result hold(const std::vector<std::string>& words, const std::string& input = {}) {
    std::vector<std::string> arguments{"hold"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return redismutex(arguments, {"REDIS_URL=" + server_.url()}, input);
  }

  bool is_held() {
    return eventually(limit, [&] { return server_.exists("k"); });
  }

  static bool has_said(const ChildProcess& process, const std::string& text) {
    return eventually(limit, [&] { return process.stdout_text().find(text) != std::string::npos; });
  }

  void someone_else_holds(const std::string& key) { server_.command({"SET", key, "someone else", "PX", "600000"}); }

  Notes notes_;
  Server server_;
};

TEST_F(HoldTest, KeepsTheLockUntilASignalComes) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1}) {
    const auto process = start("exec $HOLD k </dev/null");
    ASSERT_TRUE(has_said(process, "\n"));
    EXPECT_THAT(process.stdout_text(), MatchesRegex(held_k));
    EXPECT_THAT(process.stdout_text(), StartsWith("held k " + server_.get("k").value_or("")));
    process.kill(signal);
    const auto result = result_of(process);
    EXPECT_EQ(result.status, exited(0)) << signal;
    EXPECT_EQ(result.err, "");
    EXPECT_FALSE(server_.exists("k"));
  }
}

TEST_F(HoldTest, KeepsTheLockUntilItsInputEnds) {
  const auto process = start("(until [ -e $DIR/end ]; do echo x; sleep 0.01; done) | $HOLD k");
  ASSERT_TRUE(is_held());
  EXPECT_FALSE(process.wait(300ms));
  EXPECT_TRUE(server_.exists("k"));
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(0));
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(HoldTest, EndsWithAnInputThatEndsAtOnce) {
  for (const auto* input : {"", "some words\n"}) {
    const auto result = hold({"k"}, input);
    EXPECT_EQ(result.status, exited(0));
    EXPECT_THAT(result.out, MatchesRegex(held_k));
    EXPECT_FALSE(server_.exists("k"));
  }
}

// What is started in the background has no input, and is not meant to end at once.
TEST_F(HoldTest, KeepsTheLockWithoutAnyInput) {
  for (const auto* script :
       {"exec $HOLD k <&-", "exec $HOLD k </dev/null", "exec $HOLD k <&- 2>&-", "exec nohup $HOLD k </dev/null"}) {
    const auto process = start(script);
    ASSERT_TRUE(is_held()) << script;
    EXPECT_FALSE(process.wait(200ms)) << script;
    process.kill(SIGTERM);
    EXPECT_EQ(process.wait(limit), exited(0)) << script;
    EXPECT_FALSE(server_.exists("k"));
  }
}

TEST_F(HoldTest, LivesOnUnderNohupWhenTheTerminalGoesAway) {
  const auto process = start("exec nohup $HOLD k </dev/null");
  ASSERT_TRUE(is_held());
  process.kill(SIGHUP);
  EXPECT_FALSE(process.wait(300ms));
  EXPECT_TRUE(server_.exists("k"));
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(HoldTest, RenewsTheLock) {
  const auto process = start("exec $HOLD --expiry 0.6 k </dev/null");
  ASSERT_TRUE(is_held());
  const auto owner = server_.get("k");
  EXPECT_FALSE(process.wait(1500ms));
  EXPECT_EQ(server_.get("k"), owner);
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(HoldTest, Is79WhenTheLockIsLost) {
  const auto process = start("exec $HOLD k </dev/null");
  ASSERT_TRUE(is_held());
  server_.command({"DEL", "k"});
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(79));
  EXPECT_EQ(result.err, "redismutex: the lock 'k' was lost (it was deleted, broken, or taken by another owner)\n");
}

TEST_F(HoldTest, Is79WhenTheLockCanNotBeRenewed) {
  const auto process = start("exec $HOLD --expiry 1 k </dev/null");
  ASSERT_TRUE(is_held());
  // It renews, so it has had the answer: a wait would outlast the server.
  long long left = server_.command({"PTTL", "k"}).integer;
  ASSERT_TRUE(eventually(limit, [&] {
    const long long before = std::exchange(left, server_.command({"PTTL", "k"}).integer);
    return left > before;
  }));
  server_.kill();
  EXPECT_EQ(process.wait(limit), exited(79));
}

// As docs/recipes.md has it: the one who comes later finds the job done, also when it is free again.
TEST_F(HoldTest, KeepsAJobDoneForAWhile) {
  const std::string job = R"($COMMAND status -q k-done && exit 0
      echo x >>$DIR/done || exit
      $COMMAND hold -n -q -E 0 --lease 1h k-done >/dev/null)";
  const auto on_a_host = [&] {
    return redismutex({"run", "-n", "-q", "-E", "0", "k", "sh", "-c", job},
                      {"REDIS_URL=" + server_.url(), notes_.variable(), "COMMAND=" REDISMUTEX_COMMAND});
  };
  for (int host = 0; host < 3; ++host) EXPECT_EQ(on_a_host().status, exited(0));
  EXPECT_EQ(notes_.read("done"), "x\n");
  server_.command({"DEL", "k-done", "redismutex:about:{k-done}"});
}

TEST_F(HoldTest, Is75ForATakenLock) {
  someone_else_holds("k");
  for (const auto& how : std::vector<std::vector<std::string>>{{"-n"}, {"-w", "0.2"}, {"-n", "--lease", "1h"}}) {
    auto words = how;
    words.push_back("k");
    const auto result = hold(words);
    EXPECT_EQ(result.status, exited(75));
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("'k'"));
  }
  EXPECT_EQ(server_.get("k"), "someone else");
}

TEST_F(HoldTest, WaitsForATakenLock) {
  someone_else_holds("k");
  const auto process = start("exec $HOLD k </dev/null");
  EXPECT_FALSE(process.wait(300ms));
  EXPECT_EQ(process.stdout_text(), "");
  server_.command({"DEL", "k"});
  EXPECT_TRUE(has_said(process, "held k "));
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(HoldTest, LeavesNoPlaceInLineWhenASignalEndsTheWait) {
  someone_else_holds("k");
  const auto process = start("exec $HOLD k </dev/null");
  ASSERT_TRUE(eventually(limit, [&] { return server_.keys().size() > 1; })) << "in line";
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGTERM));
  EXPECT_TRUE(eventually(limit, [&] { return server_.keys() == std::vector<std::string>{"k"}; }));
}

TEST_F(HoldTest, WaitsForAServerThatIsAway) {
  server_.stop();
  EXPECT_EQ(hold({"-n", "k"}).status, exited(69));
  EXPECT_EQ(hold({"-w", "0.2", "k"}).status, exited(69));
  const auto process = start("exec $HOLD -w 20 k </dev/null");
  ASSERT_TRUE(eventually(
      limit, [&] { return process.stderr_text().find("waiting for 'k'; the server unix://") != std::string::npos; }));
  server_.start();
  EXPECT_TRUE(has_said(process, "held k "));
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(HoldTest, WaitsForAServerNoLongerThanPatienceAllows) {
  server_.stop();
  for (const auto* how : {"k", "--lease 1h k", "--with $$ k"}) {
    const auto begun = std::chrono::steady_clock::now();
    const auto process = start(std::string{"$HOLD --patience 0.5 "} + how + " </dev/null; exit $?");
    EXPECT_EQ(process.wait(limit), exited(69)) << how;
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 500ms) << how;
    EXPECT_THAT(process.stderr_text(), AllOf(HasSubstr("cannot acquire lock 'k'"), HasSubstr("--patience"))) << how;
  }
}

TEST_F(HoldTest, SurvivesARestartWhileItWaits) {
  someone_else_holds("k");
  const auto process = start("exec $HOLD k </dev/null");
  ASSERT_TRUE(eventually(limit, [&] { return server_.keys().size() > 1; })) << "in line";
  server_.stop();
  EXPECT_FALSE(process.wait(500ms));
  server_.start();  // without the key
  EXPECT_TRUE(has_said(process, "held k "));
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(HoldTest, OfATakenLockSaysAndReturnsWhatItIsToldTo) {
  someone_else_holds("k");
  for (const auto* how : {"-n", "-w 0.1", "-n --lease 1h", "-n --with $$"}) {
    const auto process = start(std::string{"$HOLD -q -E 9 "} + how + " k; exit $?");
    EXPECT_EQ(process.wait(limit), exited(9)) << how;
    EXPECT_EQ(process.stderr_text(), "") << how;
  }
  EXPECT_EQ(hold({"-n", "-q", "-E", "0", "k"}).status, exited(0));
  EXPECT_EQ(hold({"-n", "-q", "--url", "unix:///nowhere", "k"}).status, exited(69));
  EXPECT_THAT(hold({"-n", "-q", "--url", "unix:///nowhere", "k"}).err, HasSubstr("cannot acquire lock 'k'"))
      << "errors are said";
}

TEST_F(HoldTest, LeavesTheLockForATimeWithoutAnyProcess) {
  const auto result = hold({"--lease", "2h", "--label", "new disks", "k"});
  EXPECT_EQ(result.status, exited(0));
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, StartsWith("held k " + server_.get("k").value_or("-")));
  constexpr auto hours_2 = 7'200'000LL;
  EXPECT_GT(server_.pttl("k"), hours_2 - 60'000);
  EXPECT_LE(server_.pttl("k"), hours_2);
  EXPECT_TRUE(server_.exists("redismutex:about:{k}")) << "the label";
  EXPECT_GT(server_.pttl("redismutex:about:{k}"), hours_2 - 60'000);
}

TEST_F(HoldTest, LeavesALockThatItWaitedForAsLong) {
  someone_else_holds("k");
  const auto process = start("exec $HOLD --lease 600 k </dev/null");
  ASSERT_TRUE(eventually(limit, [&] { return server_.keys().size() > 1; })) << "in line";
  server_.command({"DEL", "k"});
  EXPECT_EQ(process.wait(limit), exited(0));
  EXPECT_GT(server_.pttl("k"), 540'000);
}

TEST_F(HoldTest, SaysItInJsonToo) {
  const auto result = hold({"--json", "--lease", "90s", "a \"b\"\n\xff"});
  EXPECT_EQ(result.status, exited(0));
  const auto id = server_.get("a \"b\"\n\xff").value_or("-");
  EXPECT_THAT(result.out,
              AllOf(StartsWith(R"({"schema":1,"key":"a \"b\"\u000a\\xff","key_base64":"YSAiYiIK/w==","id":")" + id +
                               R"(","token":)"),
                    ::testing::EndsWith(",\"lease_seconds\":90}\n")));
  EXPECT_THAT(hold({"--json", "--expiry", "0.5", "k"}).out, HasSubstr("\"lease_seconds\":0.5}"));
}

TEST_F(HoldTest, GivesTheLockBackWhenNobodyCanBeTold) {
  const auto full = start("$HOLD k >/dev/full");
  EXPECT_EQ(full.wait(limit), exited(70));
  EXPECT_THAT(full.stderr_text(), HasSubstr("cannot write to standard output: No space left"));
  const auto piped = start(
      "trap '' PIPE; { until test -s $DIR/gone; do sleep 0.01; done; $HOLD --lease 1h k; echo $? >$DIR/status; } | "
      "{ exec <&-; echo x >$DIR/gone; }");
  const auto closed = start("(sleep 0.3; $HOLD k </dev/null; echo $? >$DIR/status) | exec 0<&-");
  EXPECT_TRUE(notes_.appears("status"));
  EXPECT_EQ(closed.wait(limit), exited(0));
  EXPECT_EQ(piped.wait(limit), exited(0));
}

TEST_F(HoldTest, ExplainsUsageErrors) {
  struct Wrong {
    std::vector<std::string> words;
    std::string said;
  };
  const std::vector<Wrong> all{{{}, "KEY"},
                               {{""}, "empty"},
                               {{"-n", "-w", "1", "k"}, "--nonblock"},
                               {{"--with", "0", "k"}, "--with"},
                               {{"--with", "x", "k"}, "'x'"},
                               {{"--with", "1", "--lease", "1h", "k"}, "--lease"},
                               {{"--expiry", "1", "--lease", "1h", "k"}, "--lease"},
                               {{"--with", "1", "-E", "0", "k"}, "--conflict-exit-code"},
                               {{"-E", "256", "k"}, "256"},
                               {{"--patience", "-1", "k"}, "--patience"},
                               {{"--replicas", "few", "k"}, "--replicas"},
                               {{"--lease", "2x", "k"}, "2x"},
                               {{"--lease", "h", "k"}, "'h'"},
                               {{"--lease", "1.2.3h", "k"}, "1.2.3h"},
                               {{"--lease", "0", "k"}, "too little"},
                               {{"--lease", "400d", "k"}, "too much"},
                               {{"--label", std::string(513, 'x'), "k"}, "--label"},
                               {{"--label", "", "k"}, "--label"},
                               {{"k", "true"}, "true"},
                               {{"redismutex:k"}, "redismutex:"},
                               {{"--url", "embedded:x", "k"}, "embedded"}};
  for (const auto& wrong : all) {
    const auto result = hold(wrong.words);
    EXPECT_EQ(result.status, exited(64)) << wrong.said;
    EXPECT_THAT(result.err, AllOf(StartsWith("redismutex: "), HasSubstr(wrong.said)));
  }
  EXPECT_EQ(server_.keys(), std::vector<std::string>{});
}

}  // namespace
}  // namespace redismutex::testing
