// `redismutex hold --with PID` returns when the lock is held. The lock lasts as long as PID and no longer; PID does not run on
// without it; and the process that keeps it has nothing of its caller's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "command.hpp"
#include "run_processes.hpp"
#include "sandbox.hpp"
#include "support/server.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HoldWithTest : public ::testing::Test {
 protected:
  /// A script, for which the command is $HOLD.
  ChildProcess start(const std::string& script) {
    return ChildProcess(
        Program{.arguments = {"sh", "-c", script},
                .environment = {"HOLD=" REDISMUTEX_COMMAND " hold", "REDIS_URL=" + server_.url(), notes_.variable()}});
  }

  pid_t holder() const { return process_named("lock-holder", notes_.variable()); }
  bool holder_ends() const {
    return eventually(limit, [&] { return holder() == 0; });
  }
  bool is_free() {
    return eventually(limit, [&] { return !server_.exists("k"); });
  }

  void someone_else_holds(const std::string& key) { server_.command({"SET", key, "someone else", "PX", "600000"}); }

  Notes notes_;
  Server server_;
};

constexpr auto until_told = "; echo $$ >$DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done; exit 7";

TEST_F(HoldWithTest, KeepsTheLockUntilTheScriptEnds) {
  const auto script = start(std::string{"$HOLD --expiry 0.6 --with $$ k >$DIR/said || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  const auto owner = server_.get("k").value_or("-");
  EXPECT_THAT(notes_.read("said"), StartsWith("held k " + owner + " "));
  EXPECT_FALSE(script.wait(1500ms)) << "longer than a lease";
  EXPECT_EQ(server_.get("k"), owner);
  notes_.write("end");
  const auto result = result_of(script);
  EXPECT_EQ(result.status, exited(7));
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithTest, GivesTheLockBackWhenTheScriptIsKilled) {
  const auto script = start(std::string{"$HOLD --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  script.kill(SIGKILL);
  EXPECT_EQ(script.wait(limit), killed_by(SIGKILL));
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(holder_ends());
}

// $(…) waits until nobody has its pipe any more.
TEST_F(HoldWithTest, KeepsNothingOfItsCaller) {
  const auto script = start(
      std::string{
          "cd $DIR; exec 7>$DIR/lock 9</dev/null; said=$($HOLD --with $$ k 2>&1) || exit; echo \"$said\" >$DIR/said"} +
      until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  EXPECT_THAT(notes_.read("said"), StartsWith("held k "));
  const auto keeper = holder();
  ASSERT_NE(keeper, 0);
  const auto proc = "/proc/" + std::to_string(keeper);
  EXPECT_EQ(std::filesystem::read_symlink(proc + "/cwd"), "/");
  for (const auto* number : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink(proc + "/fd/" + number), "/dev/null") << number;
  }
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
    const auto what = std::filesystem::read_symlink(entry.path()).string();
    if (entry.path().filename().string().size() == 1 && entry.path().filename().string() < "3") continue;
    EXPECT_TRUE(what.starts_with("socket:") || what.starts_with("anon_inode:")) << what;
  }
  EXPECT_EQ(::getsid(keeper), keeper);
  EXPECT_NE(::getpgid(keeper), ::getpgid(script.pid()));
  notes_.write("end");
  EXPECT_EQ(script.wait(limit), exited(7));
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithTest, EndsTheScriptWhenTheLockIsLost) {
  const auto script = start(std::string{"$HOLD --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  server_.command({"DEL", "k"});
  EXPECT_EQ(script.wait(limit), killed_by(SIGTERM));
  EXPECT_TRUE(holder_ends());
  EXPECT_FALSE(server_.exists("k"));
}

// Where the script says what is wrong.
TEST_F(HoldWithTest, SaysWhyTheScriptIsEnded) {
  const auto script = start(std::string{"trap 'exit 3' TERM; $HOLD --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  server_.command({"DEL", "k"});
  EXPECT_EQ(script.wait(limit), exited(3));  // lock-holder may still be about to say why
  constexpr auto why =
      "redismutex: the lock 'k' was lost (it was deleted, broken, or taken by another owner); stopping this process\n";
  EXPECT_TRUE(eventually(limit, [&] { return script.stderr_text() == why; })) << script.stderr_text();
}

TEST_F(HoldWithTest, KillsAScriptThatDoesNotEnd) {
  const auto deaf = start(std::string{"trap '' TERM; $HOLD --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  EXPECT_EQ(deaf.wait(limit), killed_by(SIGKILL));
  EXPECT_TRUE(holder_ends());
  EXPECT_EQ(server_.get("k"), "someone else");
}

TEST_F(HoldWithTest, KillsAScriptBeforeALeaseEndsThatCanNotBeRenewed) {
  const auto deaf = start(std::string{"trap '' TERM; $HOLD --expiry 2 --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  server_.kill();
  const auto renewed_at = Clock::now();
  EXPECT_EQ(deaf.wait(limit), killed_by(SIGKILL));
  EXPECT_LT(Clock::now(), renewed_at + 2s);
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithTest, EndsAScriptThatStandsStill) {
  const auto script = start(std::string{"$HOLD --with $$ k || exit; echo x >$DIR/inside; kill -STOP $$; exit 7"});
  ASSERT_TRUE(notes_.appears("inside"));
  server_.command({"DEL", "k"});
  EXPECT_EQ(script.wait(limit), killed_by(SIGTERM));
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithTest, EndsTheScriptWhenTheHolderIsAskedToEnd) {
  const auto script = start(std::string{"$HOLD --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  ::kill(holder(), SIGTERM);
  EXPECT_EQ(script.wait(limit), killed_by(SIGTERM));
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithTest, LeavesTheLockToItsLeaseWhenTheHolderIsKilled) {
  const auto script = start(std::string{"$HOLD --expiry 1 --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside"));
  ::kill(holder(), SIGKILL);
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(script.running());
  notes_.write("end");
  EXPECT_EQ(script.wait(limit), exited(7));
}

TEST_F(HoldWithTest, Is75ForATakenLock) {
  someone_else_holds("k");
  for (const auto* how : {"-n", "-w 0.2"}) {
    const auto script = start(std::string{"$HOLD "} + how + " --with $$ k || exit; exit 7");
    EXPECT_EQ(script.wait(limit), exited(75));
    EXPECT_THAT(script.stderr_text(), HasSubstr("'k'"));
    EXPECT_TRUE(holder_ends());
  }
}

TEST_F(HoldWithTest, Is69WithoutAServer) {
  server_.stop();
  const auto script = start("$HOLD -n --with $$ k || exit; exit 7");
  EXPECT_EQ(script.wait(limit), exited(69));
  EXPECT_THAT(script.stderr_text(), HasSubstr("$REDIS_URL"));
  EXPECT_TRUE(holder_ends());
}

class HoldWithWaits : public HoldWithTest {
 protected:
  /// One that waits for a lock that is taken. `other`: the process that it would be kept for.
  ChildProcess waiter(pid_t other) {
    someone_else_holds("k");
    auto process = start_redismutex({"hold", "--with", std::to_string(other), "k"},
                                    {"REDIS_URL=" + server_.url(), notes_.variable()});
    EXPECT_TRUE(eventually(limit, [&] { return server_.keys().size() > 1; })) << "in line";
    return process;
  }

  void expect_nothing_left() {
    EXPECT_TRUE(holder_ends());
    EXPECT_TRUE(eventually(limit, [&] { return server_.keys() == std::vector<std::string>{"k"}; }));
    EXPECT_EQ(server_.get("k"), "someone else");
  }
};

TEST_F(HoldWithWaits, UntilASignalComes) {
  const auto process = waiter(::getpid());
  process.kill(SIGINT);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGINT));
  expect_nothing_left();
}

TEST_F(HoldWithWaits, UntilItIsKilled) {
  const auto process = waiter(::getpid());
  process.kill(SIGKILL);
  EXPECT_EQ(process.wait(limit), killed_by(SIGKILL));
  expect_nothing_left();
}

TEST_F(HoldWithWaits, UntilTheProcessEndsThatItIsFor) {
  const ChildProcess other(Program{.arguments = {"sleep", "1000"}});
  const auto process = waiter(other.pid());
  other.kill(SIGKILL);
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(75));
  EXPECT_THAT(result.err, HasSubstr("process " + std::to_string(other.pid()) + " ended before"));
  expect_nothing_left();
}

// The waiting process is in the foreground of the terminal until it has the lock.
TEST_F(HoldWithWaits, AtATerminalAsRunDoes) {
  someone_else_holds("k");
  TerminalJob job(Program{.arguments = {"sh", "-c", std::string{"$HOLD --with $$ k >$DIR/said || exit"} + until_told},
                          .environment = {"HOLD=" REDISMUTEX_COMMAND " hold", "REDIS_URL=" + server_.url(),
                                          notes_.variable(), "TERM=xterm"}});
  std::string screen;
  EXPECT_TRUE(eventually(limit, [&] {
    screen += job.output();
    return screen.find("waiting for 'k', 1st in line; inside: another program") != std::string::npos;
  })) << screen;
  job.type("\x1a");
  ASSERT_EQ(job.next_event(), "stopped");
  server_.command({"DEL", "k"});
  job.go_on();
  ASSERT_TRUE(notes_.appears("inside"));
  EXPECT_NE(::getsid(holder()), ::getsid(job.pid()));
  screen += job.output();
  EXPECT_THAT(screen, ::testing::EndsWith("\r\x1b[K"));
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "killed by Interrupt");
  EXPECT_TRUE(is_free());
  EXPECT_TRUE(holder_ends());
}

TEST_F(HoldWithWaits, UntilCtrlC) {
  someone_else_holds("k");
  TerminalJob job(Program{.arguments = {REDISMUTEX_COMMAND, "hold", "--with", std::to_string(::getpid()), "k"},
                          .environment = {"REDIS_URL=" + server_.url(), notes_.variable(), "TERM=xterm"}});
  EXPECT_TRUE(eventually(limit, [&] { return server_.keys().size() > 1; })) << "in line";
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "exit code " + std::to_string(128 + SIGINT));
  expect_nothing_left();
}

TEST_F(HoldWithTest, Is64ForAProcessThatThereIsNot) {
  pid_t gone = 0;
  {
    const ChildProcess short_lived(Program{.arguments = {"true"}});
    ASSERT_EQ(short_lived.wait(limit), exited(0));
    gone = short_lived.pid();
    // It has ended, and nobody has reaped it yet.
    const auto zombie = redismutex({"hold", "--with", std::to_string(gone), "k"}, {"REDIS_URL=" + server_.url()});
    EXPECT_EQ(zombie.status, exited(64));
    EXPECT_THAT(zombie.err, HasSubstr("process " + std::to_string(gone) + " has ended"));
  }
  const auto result = redismutex({"hold", "--with", std::to_string(gone), "k"}, {"REDIS_URL=" + server_.url()});
  EXPECT_EQ(result.status, exited(64));
  EXPECT_THAT(result.err, HasSubstr("there is no process " + std::to_string(gone)));
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(HoldWithTest, Is64ForAnotherUsersProcess) {
  const auto other = ::geteuid() == 0 ? ::getpid() : 1;
  const auto result =
      redismutex_without_privileges({"hold", "--with", std::to_string(other), "k"}, {"REDIS_URL=redis://localhost:1"});
  EXPECT_EQ(result.status, exited(64));
  EXPECT_THAT(result.err, HasSubstr("is another user's"));
}

class HoldWithEmbedded : public HoldWithTest {
 public:
  static void SetUpTestSuite() { enter_private_tmp(); }  // before there is anything in it
};

TEST_F(HoldWithEmbedded, ServerKeepsTheLock) {
  const auto script = start(std::string{"$HOLD --url embedded: --with $$ k || exit"} + until_told);
  ASSERT_TRUE(notes_.appears("inside")) << script.stderr_text();
  const auto other = redismutex({"hold", "-n", "--url", "embedded:", "k"}, {notes_.variable()});
  EXPECT_EQ(other.status, exited(75));
  notes_.write("end");
  EXPECT_EQ(script.wait(limit), exited(7));
  EXPECT_TRUE(holder_ends());
  EXPECT_EQ(redismutex({"hold", "-n", "--url", "embedded:", "k"}, {notes_.variable()}).status, exited(0));
}

}  // namespace
}  // namespace redismutex::testing
