// In a terminal: what the terminal sends reaches the command once; Ctrl-Z stops the job as the shell sees it while the lock is kept, so
// that whatever goes on later still holds it; killing the process the shell knows kills the command.

#include "terminal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// The shortest with the full margin of half a second: so long before its end COMMAND is stopped.
constexpr auto short_expiry = 2s;

class TerminalTest : public ::testing::Test {
 protected:
  TerminalJob start(const std::string& script) {
    return TerminalJob(Program{.arguments = {REDISMUTEX_COMMAND, "run", "--expiry",
                                             std::to_string(short_expiry.count()), "k", "sh", "-c", script},
                               .environment = {"REDIS_URL=" + server_.url(), notes_.variable()}});
  }

  /// Whether the lock stays in the same hands for longer than a lease.
  bool lock_is_kept() {
    const auto owner = server_.get("k");
    const auto long_enough = Clock::now() + 2 * short_expiry;
    while (owner && server_.get("k") == owner && Clock::now() < long_enough) std::this_thread::sleep_for(5ms);
    return Clock::now() >= long_enough;
  }

  Notes notes_;
  Server server_;
};

TEST_F(TerminalTest, CtrlCReachesTheCommand) {
  auto job = start(
      "trap 'echo int >> $DIR/log' INT; trap 'echo usr1 >> $DIR/log; exit 3' USR1;"
      "echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  job.type("\x03");
  ASSERT_TRUE(notes_.appears("log"));
  // What is sent by a process is passed on, and after anything that came before.
  ::kill(job.pid(), SIGUSR1);
  EXPECT_EQ(job.next_event(), "exit code 3");
  EXPECT_EQ(notes_.read("log"), "int\nusr1\n");
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(TerminalTest, WhatTheTerminalSendsToTheGroupIsNotPassedOn) {
  // A command outside the group shows what redismutex passes on, and that alone.
  auto job = start(
      "exec setsid sh -c '"
      "trap \"echo winch >> $DIR/log\" WINCH; trap \"echo usr1 >> $DIR/log; end=x\" USR1;"
      "echo x > $DIR/ready; while [ -z $end ]; do sleep 0.01; done; exit 3'");
  ASSERT_TRUE(notes_.appears("ready"));
  job.resize();
  ::kill(job.pid(), SIGUSR1);
  EXPECT_EQ(job.next_event(), "exit code 3");
  EXPECT_EQ(notes_.read("log"), "usr1\n");
}

TEST_F(TerminalTest, CtrlCEndsACommandThatDoesNotMind) {
  auto job = start("echo x > $DIR/ready; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("ready"));
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "exit code 130");
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(TerminalTest, CtrlZStopsTheJobAndTheLockIsKept) {
  auto job = start("echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done; exit 4");
  ASSERT_TRUE(notes_.appears("pid"));
  job.type("\x1a");
  ASSERT_EQ(job.next_event(), "stopped");
  EXPECT_TRUE(lock_is_kept());
  notes_.write("end");
  job.go_on();
  EXPECT_EQ(job.next_event(), "exit code 4");
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(TerminalTest, AStoppedJobThatLosesItsLockNeverGoesOn) {
  auto job = start("echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done; exit 4");
  ASSERT_TRUE(notes_.appears("pid"));
  const auto command = std::stoi(notes_.read("pid"));
  job.type("\x1a");
  ASSERT_EQ(job.next_event(), "stopped");
  server_.command({"DEL", "k"});
  EXPECT_TRUE(eventually(limit, [&] { return !alive(command); }));
  job.go_on();
  EXPECT_EQ(job.next_event(), "exit code 79");
}

TEST_F(TerminalTest, CtrlZStopsTheWaitToo) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  auto job = start("echo x > $DIR/ran; exit 4");
  ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  job.type("\x1a");
  ASSERT_EQ(job.next_event(), "stopped");
  server_.command({"DEL", "k"});
  const auto quiet_until = Clock::now() + 2 * short_expiry;
  while (Clock::now() < quiet_until) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(notes_.read("ran"), "") << "a stopped job has started its command";
  job.go_on();
  EXPECT_EQ(job.next_event(), "exit code 4");
  EXPECT_EQ(notes_.read("ran"), "x\n");
}

TEST_F(TerminalTest, SignalsSentToTheProcessTheShellKnowsReachTheCommand) {
  auto job = start("trap 'exit 5' TERM; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  ::kill(job.pid(), SIGTERM);
  EXPECT_EQ(job.next_event(), "exit code 5");
}

TEST_F(TerminalTest, KillingTheProcessTheShellKnowsKillsTheCommand) {
  auto job = start("echo $$ > $DIR/pid; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("pid"));
  const auto command = std::stoi(notes_.read("pid"));
  ::kill(job.pid(), SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(command); }));
}

}  // namespace
}  // namespace redismutex::testing
