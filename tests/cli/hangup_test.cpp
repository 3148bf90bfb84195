// When the terminal goes away, the command ends as it would have without redismutex, and whoever waits for the lock never
// starts it: also where redismutex is the leader of the session, whom alone the kernel tells.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "run_processes.hpp"
#include "support/server.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto soon = 3s;  // a second, and what a busy machine takes
constexpr auto runs_long = "sleep 1000 & sleep 1001 & echo $PPID > $DIR/inside; wait";

class HangUp : public ::testing::Test {
 protected:
  std::vector<std::string> environment() const {
    return {"REDIS_URL=" + server_.url(),
            notes_.variable(),
            mark_.variable(),
            "TERM=xterm",
            "TMUX_TMPDIR=" + notes_.directory(),
            "SHELL=/bin/sh",
            "SCRIPT=" + std::string(runs_long)};
  }

  /// In the words of a shell, which it replaces.
  static std::string command_line() { return "exec " REDISMUTEX_COMMAND " run k sh -c \"$SCRIPT\""; }

  /// Holds, as somebody else, what is waited for then.
  void take_the_lock() { server_.command({"SET", "k", "someone else", "PX", "600000"}); }

  void await_inside() { ASSERT_TRUE(notes_.appears("inside")); }
  void await_waiting() {
    ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  }

  void expect_end_of_command() {
    EXPECT_TRUE(eventually(soon, [&] { return mark_.processes_of_command().empty(); }));
    EXPECT_TRUE(eventually(limit, [&] { return !server_.exists("k"); }));
  }

  /// The waiter is gone, and its command has not run although the lock is free.
  void expect_end_of_wait() {
    EXPECT_TRUE(eventually(soon, [&] { return server_.connected_clients() == 0; }));
    server_.command({"DEL", "k"});
    EXPECT_EQ(notes_.read("inside"), "");
    EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
  }

  RunMark mark_;
  Notes notes_;
  Server server_;
};

TEST_F(HangUp, OfALeaderEndsTheCommand) {
  SessionLeader leader(Program{.arguments = {"sh", "-c", command_line()}, .environment = environment()});
  await_inside();
  leader.hang_up();
  expect_end_of_command();
  EXPECT_EQ(leader.end(), "exit code 129");
}

TEST_F(HangUp, OfALeaderEndsTheWait) {
  take_the_lock();
  SessionLeader leader(Program{.arguments = {"sh", "-c", command_line()}, .environment = environment()});
  await_waiting();
  leader.hang_up();
  EXPECT_EQ(leader.end(), "exit code 129");
  expect_end_of_wait();
}

TEST_F(HangUp, IsUpToACommandThatTakesCareOfIt) {
  auto variables = environment();
  variables.back() =
      "SCRIPT=trap 'echo x > $DIR/hup' HUP; echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done; exit 3";
  SessionLeader leader(Program{.arguments = {"sh", "-c", command_line()}, .environment = variables});
  await_inside();
  leader.hang_up();
  EXPECT_TRUE(notes_.appears("hup"));
  EXPECT_TRUE(server_.exists("k"));
  notes_.write("end");
  EXPECT_EQ(leader.end(), "exit code 3");
}

TEST_F(HangUp, IsIgnoredUnderNohup) {
  SessionLeader leader(
      Program{.arguments = {"sh", "-c", "trap '' HUP; " + command_line()}, .environment = environment()});
  await_inside();
  leader.hang_up();
  ::kill(leader.pid(), SIGTERM);  // had it minded SIGHUP, it would have been told that before
  EXPECT_EQ(leader.end(), "exit code 143");
}

TEST_F(HangUp, OfScriptEndsTheCommand) {
  const ChildProcess script(
      Program{.arguments = {"script", "-qfc", command_line(), "/dev/null"}, .environment = environment()});
  await_inside();
  script.kill(SIGKILL);
  expect_end_of_command();
}

TEST_F(HangUp, OfScriptEndsTheWait) {
  take_the_lock();
  const ChildProcess script(
      Program{.arguments = {"script", "-qfc", command_line(), "/dev/null"}, .environment = environment()});
  await_waiting();
  script.kill(SIGKILL);
  expect_end_of_wait();
}

class HangUpOfTmux : public HangUp {
 protected:
  void start() { ASSERT_EQ(tmux({"-f", "/dev/null", "new-session", "-d", command_line()}), exited(0)); }

  ExitStatus tmux(std::vector<std::string> words) const {
    words.insert(words.begin(), {"tmux", "-S", notes_.path("tmux")});
    return ChildProcess(Program{.arguments = words, .environment = environment()}).wait(limit).value();
  }

  ~HangUpOfTmux() override { tmux({"kill-server"}); }
};

TEST_F(HangUpOfTmux, EndsTheCommand) {
  start();
  await_inside();
  tmux({"kill-session"});
  expect_end_of_command();
}

TEST_F(HangUpOfTmux, EndsTheWait) {
  take_the_lock();
  start();
  await_waiting();
  tmux({"kill-session"});
  expect_end_of_wait();
}

// A shell that leads the session: the kernel tells the whole job when the shell ends.
TEST_F(HangUp, OfAShellEndsTheCommand) {
  TerminalJob job(Program{.arguments = {"sh", "-c", command_line()}, .environment = environment()});
  await_inside();
  job.hang_up();
  expect_end_of_command();
}

}  // namespace
}  // namespace redismutex::testing
