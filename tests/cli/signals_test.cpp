// A signal sent to redismutex reaches the command, or ends the wait for the lock; redismutex never ends before its
// command, and when it is killed its command is too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

class SignalsTest : public ::testing::Test {
 protected:
  ChildProcess start(const std::vector<std::string>& options, const std::string& script) {
    std::vector<std::string> arguments{"run"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {"k", "sh", "-c", script});
    return start_redismutex(arguments, {"REDIS_URL=" + server_.url(), notes_.variable()});
  }

  pid_t noted_pid(const std::string& name) {
    EXPECT_TRUE(notes_.appears(name));
    return std::stoi(notes_.read(name));
  }

  Notes notes_;
  Server server_;
};

class ForwardedSignal : public SignalsTest, public ::testing::WithParamInterface<int> {};

TEST_P(ForwardedSignal, ReachesTheCommand) {
  const std::string name = ::sigabbrev_np(GetParam());
  const auto process = start({}, "trap 'exit 42' " + name + "; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  process.kill(GetParam());
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(42));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(server_.keys(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(, ForwardedSignal,
                         ::testing::Values(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT,
                                           SIGWINCH),
                         [](const auto& test) { return std::string("SIG") + ::sigabbrev_np(test.param); });

TEST_F(SignalsTest, ACommandMayDisregardWhatEndsOthers) {
  const auto process =
      start({}, "trap '' TERM; echo x > $DIR/ready; until [ -e $DIR/end ]; do sleep 0.01; done; exit 3");
  ASSERT_TRUE(notes_.appears("ready"));
  process.kill(SIGTERM);
  process.kill(SIGTERM);
  EXPECT_FALSE(process.wait(100ms));
  EXPECT_TRUE(server_.exists("k"));
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(3));
}

class SignalWhileWaiting : public SignalsTest, public ::testing::WithParamInterface<int> {};

TEST_P(SignalWhileWaiting, EndsTheWaitAndLeavesNothing) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  const auto process = start({}, "echo x > $DIR/ran");
  ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  process.kill(GetParam());
  EXPECT_EQ(process.wait(2s), exited(128 + GetParam()));
  EXPECT_EQ(server_.get("k"), "someone else");
  EXPECT_EQ(server_.keys(), std::vector<std::string>{"k"});
  EXPECT_EQ(notes_.read("ran"), "");
  EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 0; }));
}

INSTANTIATE_TEST_SUITE_P(, SignalWhileWaiting, ::testing::Values(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1),
                         [](const auto& test) { return std::string("SIG") + ::sigabbrev_np(test.param); });

TEST_F(SignalsTest, IgnoredFromTheBeginningStayIgnored) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  const ChildProcess process(Program{.arguments = {"sh", "-c", "trap '' HUP; exec " REDISMUTEX_COMMAND " run k true"},
                                     .environment = {"REDIS_URL=" + server_.url()}});
  ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  process.kill(SIGHUP);
  EXPECT_FALSE(process.wait(100ms));
  server_.command({"DEL", "k"});
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(SignalsTest, KillingRedismutexKillsTheCommandAndTheNextOneGetsInAfterTheExpiry) {
  const auto process = start({"--expiry", "1"}, "echo $$ > $DIR/pid; exec sleep 1000");
  const auto command = noted_pid("pid");
  ASSERT_TRUE(alive(command));
  process.kill(SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(command); }));
  EXPECT_TRUE(server_.exists("k"));
  EXPECT_EQ(start({"-w", "10"}, "exit 5").wait(limit), exited(5));
}

TEST_F(SignalsTest, OrphansOfTheCommandAreLookedAfter) {
  // Each `sleep` outlives the shell that started it; its end must not be mistaken for that of the command.
  const auto process = start({}, "for i in 1 2 3; do (sleep 0.01 &); done; sleep 0.1; exit 4");
  EXPECT_EQ(process.wait(limit), exited(4));
}

TEST_F(SignalsTest, ACommandThatEndsMayLeaveProcessesBehind) {
  const auto process = start({}, "sleep 1000 & echo $! > $DIR/pid");
  EXPECT_EQ(process.wait(limit), exited(0));
  const auto left = noted_pid("pid");
  EXPECT_TRUE(alive(left));
  ::kill(left, SIGKILL);
}

}  // namespace
}  // namespace redismutex::testing
