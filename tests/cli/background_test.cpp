// What the command leaves running when it ends keeps the lock, or runs on without it: as the user says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "command.hpp"
#include "run_processes.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto leaves_one_behind =
    "(until [ -e $DIR/end ]; do sleep 0.01; done; echo x > $DIR/ended) & echo $! > $DIR/pid; exit 4";

class BackgroundTest : public ::testing::Test {
 protected:
  ChildProcess start(const std::vector<std::string>& options, const std::string& script) {
    std::vector<std::string> arguments{"run", "--expiry", "1"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {"k", "sh", "-c", script});
    return start_redismutex(arguments, {"REDIS_URL=" + server_.url(), notes_.variable(), mark_.variable()});
  }

  pid_t noted_pid(const std::string& name) {
    EXPECT_TRUE(notes_.appears(name));
    return std::stoi(notes_.read(name));
  }

  RunMark mark_;
  Notes notes_;
  Server server_;
};

TEST_F(BackgroundTest, KeepsTheLockUntilItEnds) {
  for (const auto& options : {std::vector<std::string>{}, {"--background", "wait"}}) {
    const auto process = start(options, leaves_one_behind);
    const auto left = noted_pid("pid");
    EXPECT_FALSE(process.wait(1500ms)) << "longer than a lease";
    EXPECT_TRUE(alive(left));
    EXPECT_TRUE(server_.exists("k"));
    notes_.write("end");
    const auto result = result_of(process);
    EXPECT_EQ(result.status, exited(4));
    EXPECT_THAT(result.err, HasSubstr("processes that it started run on; keeping the lock 'k'"));
    EXPECT_EQ(notes_.read("ended"), "x\n");
    EXPECT_FALSE(server_.exists("k"));
    for (const auto* name : {"end", "ended", "pid"}) ::unlink(notes_.path(name).c_str());
  }
}

TEST_F(BackgroundTest, KeepsTheLockInSilenceWithQuiet) {
  const auto process = start({"-q"}, leaves_one_behind);
  noted_pid("pid");
  EXPECT_FALSE(process.wait(1500ms));
  notes_.write("end");
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(4));
  EXPECT_EQ(result.err, "");
}

TEST_F(BackgroundTest, IsLeftRunningWithoutTheLockIfTheUserSaysSo) {
  const auto process = start({"--background=leave"}, leaves_one_behind);
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(4));
  EXPECT_EQ(result.err, "");
  EXPECT_FALSE(server_.exists("k"));
  const auto left = noted_pid("pid");
  EXPECT_TRUE(alive(left));
  notes_.write("end");
  EXPECT_TRUE(notes_.appears("ended"));
}

TEST_F(BackgroundTest, GetsTheSignalsOnceTheCommandHasEnded) {
  const auto process = start({}, "sleep 1000 & setsid sleep 1001 & echo $$ > $DIR/pid; exit 4");
  const auto command = noted_pid("pid");
  ASSERT_TRUE(eventually(limit, [&] { return !alive(command); }));
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(4));
  EXPECT_THAT(mark_.processes_of_command(), IsEmpty());
}

// A shell that is ended leaves the program that it was waiting for running.
TEST_F(BackgroundTest, EndsWithACommandThatIsEndedByASignal) {
  const auto process = start({}, "echo $$ > $DIR/pid; sleep 1000; exit 4");
  noted_pid("pid");
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGTERM));
  EXPECT_THAT(mark_.processes_of_command(), IsEmpty());
}

TEST_F(BackgroundTest, IsStoppedWhenTheLockIsLost) {
  const auto process = start({}, "sleep 1000 & setsid sleep 1001 & echo $$ > $DIR/pid; exit 4");
  const auto command = noted_pid("pid");
  ASSERT_TRUE(eventually(limit, [&] { return !alive(command); }));
  server_.command({"DEL", "k"});
  EXPECT_EQ(process.wait(limit), exited(79));
  EXPECT_THAT(mark_.processes_of_command(), IsEmpty());
}

}  // namespace
}  // namespace redismutex::testing
