// The command where people put it: cron, sudo, make, nohup, setsid, and many at once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>

#include "command.hpp"
#include "sandbox.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class RolesTest : public ::testing::Test {
 protected:
  ChildProcess start(const std::vector<std::string>& words) {
    return ChildProcess(Program{.arguments = words, .environment = {"REDIS_URL=" + server_.url(), notes_.variable()}});
  }

  Notes notes_;
  Server server_;
};

TEST_F(RolesTest, RunsInTheEnvironmentOfCron) {
  const auto result =
      redismutex_with_system_file(server_.url(), {"run", "-n", "-q", "-E", "0", "k", "sh", "-c", "exit 0"},
                                  {"HOME=/", "LOGNAME=x", "PATH=/usr/bin:/bin", "SHELL=/bin/sh"});
  EXPECT_EQ(result.status, exited(0));
  EXPECT_EQ(result.out + result.err, "");
}

// env_reset: $REDIS_URL does not come through, and no server is guessed in its place.
TEST_F(RolesTest, RunsInTheEnvironmentOfSudoByTheSystemsFile) {
  const std::vector<std::string> environment{"HOME=/root",    "LOGNAME=root",  "USER=root",
                                             "SUDO_USER=ann", "SUDO_UID=1000", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                             "TERM=dumb"};
  EXPECT_EQ(redismutex_with_system_file(server_.url(), {"run", "k", "true"}, environment).status, exited(0));
  const auto without = redismutex_with_system_file({}, {"run", "k", "true"}, environment);
  EXPECT_EQ(without.status, exited(64));
  EXPECT_THAT(without.err, HasSubstr("no server is named"));
}

TEST_F(RolesTest, RunsWithAnEmptyEnvironment) {
  const auto process =
      start({"env", "-i", REDISMUTEX_COMMAND, "run", "--url", server_.url(), "k", "/bin/sh", "-c", "exit 5"});
  EXPECT_EQ(process.wait(limit), exited(5)) << process.stderr_text();
}

TEST_F(RolesTest, KeepsMakesJobsApartAndPassesItsJobServerOn) {
  std::ofstream(notes_.path("Makefile")) << "all: a b c d\n"
                                            "a b c d:\n"
                                            "\t+" REDISMUTEX_COMMAND " run k $(MAKE) -f $(DIR)/inner\n";
  std::ofstream(notes_.path("inner")) << "all: x y\n"
                                         "x y:\n"
                                         "\t@echo $@ >> $(DIR)/log\n";
  const auto process = start({"make", "-j4", "-f", notes_.path("Makefile")});
  EXPECT_EQ(process.wait(limit), exited(0)) << process.stderr_text();
  EXPECT_EQ(process.stderr_text().find("jobserver unavailable"), std::string::npos) << process.stderr_text();
  EXPECT_EQ(notes_.read("log").size(), 16U);
}

TEST_F(RolesTest, TwoHundredAtOnceAllComeIn) {
  const auto process =
      start({"sh", "-c",
             "i=0; while [ $i -lt 200 ]; do " REDISMUTEX_COMMAND
             " run k sh -c 'mkdir $DIR/in && echo x >> $DIR/log && rmdir $DIR/in' & i=$((i+1)); done; wait"});
  EXPECT_EQ(process.wait(6 * limit), exited(0));
  EXPECT_EQ(process.stderr_text(), "");
  EXPECT_EQ(notes_.read("log").size(), 400U);
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(RolesTest, OfTwoHundredThatDoNotWaitEachSaysItsOwnLine) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  const auto process = start({"sh", "-c",
                              "i=0; while [ $i -lt 200 ]; do (" REDISMUTEX_COMMAND
                              " run -n k true; echo $? >> $DIR/log) & i=$((i+1)); done; wait"});
  EXPECT_EQ(process.wait(6 * limit), exited(0));
  std::string all;
  for (int i = 0; i < 200; ++i) all += "75\n";
  EXPECT_EQ(notes_.read("log"), all);
  const auto said = process.stderr_text();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 200);
}

TEST_F(RolesTest, UnderNohupGoesOnWhenTheTerminalHangsUp) {
  const auto process = start({"nohup", REDISMUTEX_COMMAND, "run", "k", "sh", "-c",
                              "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done; exit 3"});
  ASSERT_TRUE(notes_.appears("inside"));
  process.kill(SIGHUP);
  std::this_thread::sleep_for(200ms);
  EXPECT_TRUE(process.running());
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(3));
}

TEST_F(RolesTest, UnderSetsidPassesSignalsOn) {
  const auto process = start({"setsid", "--wait", REDISMUTEX_COMMAND, "run", "k", "sh", "-c",
                              "trap 'exit 7' TERM; echo $PPID > $DIR/inside; while :; do sleep 0.01; done"});
  ASSERT_TRUE(notes_.appears("inside"));
  ::kill(std::stoi(notes_.read("inside")), SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(7));
}

TEST_F(RolesTest, KilledByTimeoutLeavesALockThatEnds) {
  const auto process =
      start({"timeout", "-s", "KILL", "0.7", REDISMUTEX_COMMAND, "run", "--expiry", "2", "k", "sleep", "100"});
  EXPECT_EQ(process.wait(limit), killed_by(SIGKILL));
  EXPECT_TRUE(eventually(limit, [&] { return !server_.exists("k"); }));
}

}  // namespace
}  // namespace redismutex::testing
