// A signal sent to redismutex reaches the command, or ends the wait for the lock; redismutex never ends before its
// command, and when it is killed its command is too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>

#include "command.hpp"
#include "run_processes.hpp"
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

  static std::string state_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    file >> number >> name >> state;
    return state;
  }

  Notes notes_;
  Server server_;
};

class ForwardedSignal : public SignalsTest, public ::testing::WithParamInterface<int> {};

std::string name_of(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? name : std::to_string(signal);
}

TEST_P(ForwardedSignal, ReachesTheCommand) {
  const auto process =
      start({}, "trap 'exit 42' " + std::to_string(GetParam()) + "; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  process.kill(GetParam());
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(42));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(, ForwardedSignal,
                         ::testing::Values(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT,
                                           SIGWINCH, SIGPROF, SIGVTALRM, SIGIO, SIGPWR, SIGURG, SIGXCPU, SIGPIPE,
                                           SIGRTMIN, SIGRTMIN + 7, SIGRTMAX),
                         [](const auto& test) { return "SIG" + name_of(test.param); });

/// A command that notes each SIGTERM and ends after SIGUSR1, which is sent after all that may come late.
constexpr auto counts_terms =
    "trap 'echo term >> $DIR/log' TERM; trap 'echo usr1 >> $DIR/log; exit 3' USR1;"
    "echo $$ > $DIR/ready; while :; do sleep 0.01; done";

TEST_F(SignalsTest, ToTheWholeGroupReachTheCommandOnce) {
  const auto process = start({}, counts_terms);
  ASSERT_TRUE(notes_.appears("ready"));
  await_child_named(process.pid(), "signal-witness");
  ::kill(-process.pid(), SIGTERM);
  ASSERT_TRUE(notes_.appears("log"));
  process.kill(SIGUSR1);
  EXPECT_EQ(process.wait(limit), exited(3));
  EXPECT_EQ(notes_.read("log"), "term\nusr1\n");
}

// As systemd does at the end of a unit: one process after the other.
TEST_F(SignalsTest, ToAllProcessesOfAUnitReachTheCommandOnce) {
  const auto process = start({}, counts_terms);
  const auto command = noted_pid("ready");
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  const auto witness = await_child_named(process.pid(), "signal-witness");
  for (const auto pid : {process.pid(), keeper, command, witness}) ::kill(pid, SIGTERM);
  ASSERT_TRUE(notes_.appears("log"));
  process.kill(SIGUSR1);
  EXPECT_EQ(process.wait(limit), exited(3));
  EXPECT_EQ(notes_.read("log"), "term\nusr1\n");
}

// As `pkill -f` does: to all that have the same command line.
TEST_F(SignalsTest, ToWatcherAndKeeperReachTheCommandOnce) {
  const auto process = start({}, counts_terms);
  ASSERT_TRUE(notes_.appears("ready"));
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGTERM);
  process.kill(SIGTERM);
  ASSERT_TRUE(notes_.appears("log"));
  process.kill(SIGUSR1);
  EXPECT_EQ(process.wait(limit), exited(3));
  EXPECT_EQ(notes_.read("log"), "term\nusr1\n");
}

TEST_F(SignalsTest, OfTimeoutReachTheCommandOnce) {
  const ChildProcess process(
      Program{.arguments = {"timeout", "1", REDISMUTEX_COMMAND, "run", "k", "sh", "-c", counts_terms},
              .environment = {"REDIS_URL=" + server_.url(), notes_.variable()}});
  ASSERT_TRUE(notes_.appears("log"));
  ::kill(child_named(process.pid(), "redismutex"), SIGUSR1);
  EXPECT_EQ(process.wait(limit), exited(124));
  EXPECT_EQ(notes_.read("log"), "term\nusr1\n");
}

// `pkill redismutex` and `killall redismutex` mean the one that passes signals on, and no witness that would tell it that
// the command has got them too.
TEST_F(SignalsTest, GoToTheOneProcessThatIsCalledRedismutex) {
  const auto process = start({}, "echo x > $DIR/ready; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("ready"));
  const auto witness = await_child_named(process.pid(), "signal-witness");
  std::ifstream file("/proc/" + std::to_string(witness) + "/cmdline");
  std::string command_line;
  std::getline(file, command_line, '\0');
  EXPECT_EQ(command_line, "signal-witness");
  EXPECT_EQ(child_named(process.pid(), "redismutex"), 0);
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGTERM));
}

TEST_F(SignalsTest, ThatQueueArriveAsOftenAsTheyWereSent) {
  const auto process =
      start_redismutex({"run", "k", "python3", "-c",
                        "import os, signal\n"
                        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])\n"
                        "open(os.environ['DIR'] + '/ready', 'w').write('x')\n"
                        "for i in range(3): print(signal.sigwaitinfo([signal.SIGRTMIN]).si_signo - signal.SIGRTMIN)"},
                       {"REDIS_URL=" + server_.url(), notes_.variable()});
  ASSERT_TRUE(notes_.appears("ready"));
  await_child_named(process.pid(), "signal-witness");
  for (int i = 0; i < 3; ++i) ::sigqueue(process.pid(), SIGRTMIN, sigval{});
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_EQ(result.out, "0\n0\n0\n");
}

// An alarm that was set before redismutex began comes from the kernel, too, but to redismutex alone.
TEST_F(SignalsTest, OfAlarmsReachTheCommand) {
  const ChildProcess process(
      Program{.arguments = {"python3", "-c",
                            "import os, signal\n"
                            "signal.setitimer(signal.ITIMER_REAL, 0.5)\n"
                            "os.execv(os.environ['R'], ['redismutex', 'run', 'k', 'sleep', '1000'])"},
              .environment = {"REDIS_URL=" + server_.url(), "R=" REDISMUTEX_COMMAND}});
  EXPECT_EQ(process.wait(limit), exited(128 + SIGALRM));
}

TEST_F(SignalsTest, ThatStopRedismutexStopTheCommand) {
  const auto process =
      start({"--expiry", "1"}, "echo $$ > $DIR/ready; until [ -e $DIR/end ]; do sleep 0.01; done; exit 4");
  const auto command = noted_pid("ready");
  process.kill(SIGTSTP);
  EXPECT_TRUE(eventually(limit, [&] { return state_of(command) == "T"; }));
  EXPECT_TRUE(server_.exists("k"));
  process.kill(SIGCONT);
  EXPECT_TRUE(eventually(limit, [&] { return state_of(command) != "T"; }));
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(4));
}

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
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{"k"});
  EXPECT_EQ(notes_.read("ran"), "");
  EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 0; }));
}

INSTANTIATE_TEST_SUITE_P(, SignalWhileWaiting,
                         ::testing::Values(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPROF, SIGRTMIN),
                         [](const auto& test) { return "SIG" + name_of(test.param); });

// The first question to a server can not be taken back, and may take longer to be given up.
TEST_F(SignalsTest, EndTheWaitAlsoForAServerThatIsSilent) {
  server_.pause();
  const auto process = start({"--expiry", "60"}, "echo x > $DIR/ran");
  await_child_named(process.pid(), "lock-keeper");
  process.kill(SIGINT);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGINT));
  server_.resume();
  EXPECT_TRUE(eventually(limit, [&] { return server_.connected_clients() == 0; }));
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
  EXPECT_EQ(notes_.read("ran"), "");
}

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

// The lock is not given back before the command is dead, and then without waiting for the end of the lease.
TEST_F(SignalsTest, KillingRedismutexKillsTheCommandAndLetsTheNextOneIn) {
  const auto process = start({"--expiry", "60"}, "echo $$ > $DIR/pid; exec sleep 1000");
  const auto command = noted_pid("pid");
  ASSERT_TRUE(alive(command));
  process.kill(SIGKILL);
  EXPECT_EQ(start({"-w", "10"}, "! kill -0 $(cat $DIR/pid) || exit 1; exit 5").wait(limit), exited(5));
}

TEST_F(SignalsTest, OrphansOfTheCommandAreLookedAfter) {
  // Each `sleep` outlives the shell that started it; its end must not be mistaken for that of the command.
  const auto process = start({}, "for i in 1 2 3; do (sleep 0.01 &); done; sleep 0.1; exit 4");
  EXPECT_EQ(process.wait(limit), exited(4));
}

}  // namespace
}  // namespace redismutex::testing
