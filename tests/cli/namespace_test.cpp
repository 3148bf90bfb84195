// As PID 1 of a namespace, as in a container: signals arrive, orphans are looked after, and the command is stopped; also
// where /proc is that of another namespace and counts processes differently. A user who may not make namespaces sees the
// same of an ordinary process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "run_processes.hpp"
#include "sandbox.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::IsEmpty;

class FirstProcess : public ::testing::TestWithParam<bool> {
 protected:
  ChildProcess start(const std::string& script) {
    auto words = unshare_;
    words.insert(words.end(), {REDISMUTEX_COMMAND, "run", "--expiry", "1", "k", "sh", "-c", script});
    return ChildProcess(Program{.arguments = words,
                                .environment = {"REDIS_URL=" + server_.url(), notes_.variable(), mark_.variable()}});
  }

  /// redismutex itself, as seen from here.
  pid_t redismutex_in(const ChildProcess& process) const {
    return unshare_.empty() ? process.pid() : await_child_named(process.pid(), "redismutex");
  }

  /// `unshare` has the mark too.
  void await_command(std::size_t processes) {
    const auto all = processes + (unshare_.empty() ? 0 : 1);
    ASSERT_TRUE(eventually(limit, [&] { return mark_.processes_of_command().size() >= all; }));
  }

  const std::vector<std::string> unshare_ = as_first_process(GetParam());
  RunMark mark_;
  Notes notes_;
  Server server_;
};

TEST_P(FirstProcess, PassesTheExitStatusOnAndOutlivesOrphans) {
  const auto process = start("for i in 1 2 3; do (setsid sleep 0.01 &); done; exit 5");
  EXPECT_EQ(process.wait(limit), exited(5)) << process.stderr_text();
  EXPECT_FALSE(server_.exists("k"));
}

TEST_P(FirstProcess, PassesSignalsOn) {
  const auto process = start("trap 'exit 6' TERM; echo x > $DIR/ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("ready"));
  ::kill(redismutex_in(process), SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(6));
}

TEST_P(FirstProcess, StopsAllWhenTheLockIsLost) {
  const auto process = start("setsid sleep 1000 & (sleep 1001 &); sleep 1002 & wait");
  await_command(4);
  server_.command({"DEL", "k"});
  EXPECT_EQ(process.wait(limit), exited(79));
  EXPECT_THAT(mark_.processes_of_command(), IsEmpty());
}

TEST_P(FirstProcess, StopsAllWhenTheKeeperStandsStill) {
  const auto process = start("setsid sleep 1000 & (sleep 1001 &); sleep 1002 & wait");
  await_command(4);
  ::kill(await_child_named(redismutex_in(process), "lock-keeper"), SIGSTOP);
  ASSERT_TRUE(eventually(limit, [&] { return !server_.exists("k"); }));
  EXPECT_LE(mark_.processes_of_command().size(), 1U);
  EXPECT_EQ(process.wait(limit), exited(79));
}

// The kernel ends all that is in the namespace with its first process.
TEST_P(FirstProcess, TakesAllWithItWhenAllOfOursAreKilled) {
  const auto process = start("setsid sleep 1000 & (sleep 1001 &); sleep 1002 & wait");
  await_command(4);
  const auto watcher = redismutex_in(process);
  const auto keeper = await_child_named(watcher, "lock-keeper");
  ::kill(watcher, SIGKILL);
  ::kill(keeper, SIGKILL);
  ASSERT_TRUE(eventually(limit, [&] { return !server_.exists("k"); }));
  EXPECT_THAT(mark_.processes_of_command(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(, FirstProcess, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "WithItsProc" : "WithAnothersProc"; });

}  // namespace
}  // namespace redismutex::testing
