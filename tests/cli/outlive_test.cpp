// Nothing that the command started outlives the lease, whichever of redismutex's processes is killed or stands still, and
// whatever the command does to get away: background processes, sessions of their own, orphans of orphans.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "command.hpp"
#include "run_processes.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The shortest with the full margin of half a second. With one of 1 s the witness has 150 ms for its walks through /proc, and on a machine
// that many share a process that is to run, or to die, may have to wait for longer than that.
constexpr auto keepers_expiry = 2s;

struct Shape {
  std::string name;
  std::string script;
  std::size_t processes;
};

const std::vector<Shape> shapes{
    {"Background", "sleep 1000 & sleep 1001 & wait", 3},
    {"Setsid", "setsid sleep 1000 & setsid sh -c 'sleep 1001 & sleep 1002; :' & wait", 5},
    {"DoubleFork", "(setsid sh -c 'sleep 1000 & (sleep 1001 &); exit' &); (sleep 1002 &); exec sleep 1003", 4},
    {"DeafToTerm", "trap '' TERM; setsid sh -c 'while :; do sleep 0.01; done' & wait", 2},
};

class OutliveTest : public ::testing::Test {
 protected:
  ChildProcess start(const std::string& script) {
    return start_redismutex({"run", "--expiry", std::to_string(keepers_expiry.count()), "k", "sh", "-c", script},
                            {"REDIS_URL=" + server_.url(), mark_.variable(), notes_.variable()});
  }

  /// Returns when all processes of the command are there.
  void await_command(std::size_t processes) {
    ASSERT_TRUE(eventually(limit, [&] { return mark_.processes_of_command().size() >= processes; }));
  }

  /// Waits for the end of the lease, which has to come, and says what runs then.
  std::vector<pid_t> processes_at_the_end_of_the_lease() {
    EXPECT_TRUE(eventually(limit, [&] { return !server_.exists("k"); }));
    return mark_.processes_of_command();
  }

  /// Whether the lock stays in the same hands for longer than a lease.
  bool lock_is_kept() {
    const auto owner = server_.get("k");
    const auto long_enough = Clock::now() + 2 * keepers_expiry;
    while (owner && server_.get("k") == owner && Clock::now() < long_enough) std::this_thread::sleep_for(5ms);
    return Clock::now() >= long_enough;
  }

  RunMark mark_;
  Notes notes_;
  Server server_;
};

class Outlive : public OutliveTest, public ::testing::WithParamInterface<Shape> {
 protected:
  ChildProcess started() {
    auto process = start(GetParam().script);
    await_command(GetParam().processes);
    return process;
  }
};

TEST_P(Outlive, NotAKilledKeeper) {
  const auto process = started();
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGKILL);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(79));
  EXPECT_THAT(result.err, HasSubstr("the process that kept the lock 'k' was killed; stopping the command"));
}

TEST_P(Outlive, NotAKeeperThatStandsStill) {
  const auto process = started();
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGSTOP);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(79));
  EXPECT_THAT(result.err, HasSubstr("the process that keeps the lock 'k' stands still; stopping the command"));
}

TEST_P(Outlive, NotAKilledWatcher) {
  const auto process = started();
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  process.kill(SIGKILL);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  EXPECT_TRUE(eventually(limit, [&] { return !alive(keeper); }));
}

// It does what SIGKILL to the whole group does (timeout -s KILL): all but the keeper and what has left the group are dead.
TEST_P(Outlive, NotAKilledGroup) {
  const auto process = started();
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  ::kill(-process.pid(), SIGKILL);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  EXPECT_TRUE(eventually(limit, [&] { return !alive(keeper); }));
}

TEST_P(Outlive, NotWatcherAndKeeperKilledTogether) {
  const auto process = started();
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  const auto witness = await_child_named(process.pid(), "signal-witness");
  process.pause();  // or it would see the end of the keeper before its own
  ::kill(keeper, SIGKILL);
  process.kill(SIGKILL);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  EXPECT_TRUE(eventually(limit, [&] { return !alive(witness); }));
}

TEST_P(Outlive, NotWatcherAndKeeperThatStandStillTogether) {
  const auto process = started();
  await_child_named(process.pid(), "signal-witness");
  process.pause();
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGSTOP);
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
  process.resume();
  EXPECT_EQ(process.wait(limit), exited(79));
}

TEST_P(Outlive, NotAWatcherThatStandsStillWhenTheLockIsLost) {
  const auto process = started();
  process.pause();
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  EXPECT_TRUE(eventually(limit, [&] { return mark_.processes_of_command().empty(); }));
  process.resume();
  EXPECT_EQ(process.wait(limit), exited(79));
}

INSTANTIATE_TEST_SUITE_P(, Outlive, ::testing::ValuesIn(shapes), [](const auto& test) { return test.param.name; });

TEST_F(OutliveTest, AWatcherThatStandsStillKeepsTheLock) {
  const auto process = start("until [ -e $DIR/end ]; do sleep 0.01; done; exit 5");
  ASSERT_TRUE(eventually(limit, [&] { return server_.exists("k"); }));
  process.pause();
  EXPECT_TRUE(lock_is_kept());
  process.resume();
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(5));
}

TEST_F(OutliveTest, NobodyMissesTheWitness) {
  const auto process = start("trap 'exit 6' TERM; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  const auto witness = await_child_named(process.pid(), "signal-witness");
  ::kill(witness, SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(witness); }));
  EXPECT_TRUE(lock_is_kept());
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(6));
}

TEST_F(OutliveTest, AWitnessThatStandsStillDelaysASignalAndNothingElse) {
  const auto process = start("trap 'exit 6' TERM; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  ::kill(await_child_named(process.pid(), "signal-witness"), SIGSTOP);
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(6));
}

TEST_F(OutliveTest, TimeoutWithSigkillLeavesNothing) {
  const ChildProcess process(
      Program{.arguments = {"timeout", "-s", "KILL", "0.5", REDISMUTEX_COMMAND, "run", "--expiry", "1", "k", "sh", "-c",
                            "setsid sleep 1000 & (setsid sleep 1001 &); sleep 1002 & wait"},
              .environment = {"REDIS_URL=" + server_.url(), mark_.variable()}});
  await_command(4);
  EXPECT_TRUE(process.wait(limit));
  EXPECT_THAT(processes_at_the_end_of_the_lease(), IsEmpty());
}

TEST_F(OutliveTest, AKeeperKilledWhileItWaitsIsAnInternalError) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  const auto process = start("echo x > $DIR/ran");
  ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGKILL);
  EXPECT_EQ(process.wait(limit), exited(70));
  EXPECT_EQ(notes_.read("ran"), "");
}

TEST_F(OutliveTest, AWaiterWhoseWatcherIsKilledLeavesTheLine) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  const auto process = start("echo x > $DIR/ran");
  ASSERT_TRUE(eventually(limit, [&] { return server_.command_calls()["set"] >= 2; }));
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  process.kill(SIGKILL);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(keeper); }));
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{"k"});
  EXPECT_EQ(notes_.read("ran"), "");
}

// A shell may have children of its own before it becomes redismutex. They are none of the command's.
TEST_F(OutliveTest, ChildrenFromBeforeAreLeftAlone) {
  const ChildProcess process(Program{.arguments = {"sh", "-c",
                                                   "sleep 1000 & echo $! > $DIR/before; exec " REDISMUTEX_COMMAND
                                                   " run --expiry 1 k sh -c 'echo x > $DIR/ready; exec sleep 1001'"},
                                     .environment = {"REDIS_URL=" + server_.url(), notes_.variable()}});
  ASSERT_TRUE(notes_.appears("ready"));
  const auto before = std::stoi(notes_.read("before"));
  ::kill(await_child_named(process.pid(), "lock-keeper"), SIGKILL);
  EXPECT_EQ(process.wait(limit), exited(79));
  EXPECT_TRUE(alive(before));
  ::kill(before, SIGKILL);
}

}  // namespace
}  // namespace redismutex::testing
