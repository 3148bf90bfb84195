// The lock lasts as long as the command, and the command no longer than the lock: it is renewed; when it can not be, or
// is lost, the command and all it started are stopped, in time, with status 79.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "command.hpp"
#include "support/proxy.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;

constexpr auto expiry = 2s;
constexpr auto sleeps = "echo $$ > $DIR/pid; exec sleep 1000";
constexpr auto ignores_term = "trap '' TERM; echo $$ > $DIR/pid; while :; do sleep 0.01; done";

class LeaseTest : public ::testing::Test {
 protected:
  ChildProcess start(const std::string& script) { return start_at(server_.url(), script); }

  ChildProcess start_at(const std::string& url, const std::string& script, std::chrono::seconds lease = expiry) {
    return start_redismutex({"run", "--expiry", std::to_string(lease.count()), "k", "sh", "-c", script},
                            {"REDIS_URL=" + url, notes_.variable()});
  }

  pid_t noted_pid(const std::string& name = "pid") {
    EXPECT_TRUE(notes_.appears(name));
    return std::stoi(notes_.read(name));
  }

  /// Whether the process ends before a lease that was renewed at `renewed_at` at the latest.
  static bool ends_in_time(pid_t process, Clock::time_point renewed_at) {
    const bool ended = eventually(limit, [&] { return !alive(process); });
    return ended && Clock::now() < renewed_at + expiry;
  }

  void expect_stopped(const ChildProcess& process, const std::string& reason) {
    const auto result = result_of(process);
    EXPECT_EQ(result.status, exited(79));
    EXPECT_THAT(result.err, ::testing::StartsWith("redismutex: the lock 'k' " + reason));
    EXPECT_THAT(result.err, HasSubstr("stopping the command"));
  }

  Notes notes_;
  Server server_;
};

TEST_F(LeaseTest, IsRenewedForACommandThatTakesLonger) {
  const auto process = start("echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done; exit 6");
  noted_pid();
  const auto owner = server_.get("k");
  const auto long_enough = Clock::now() + 2 * expiry;
  while (Clock::now() < long_enough) {
    ASSERT_EQ(server_.get("k"), owner);
    ASSERT_LE(server_.pttl("k"), std::chrono::milliseconds(expiry).count());
    std::this_thread::sleep_for(5ms);
  }
  notes_.write("end");
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(6));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

TEST_F(LeaseTest, IsRenewedAboutThreeTimesWithinItself) {
  const auto process = start("echo $$ > $DIR/pid; exec sleep 4.5");
  noted_pid();
  int renewals = 0;
  auto before = server_.pttl("k");
  while (process.running()) {
    const auto now = server_.pttl("k");
    if (now > before + 100) ++renewals;
    before = now;
  }
  EXPECT_EQ(process.wait(limit), exited(0));
  EXPECT_GE(renewals, 4);
  EXPECT_LE(renewals, 8);
}

TEST_F(LeaseTest, LostByDeletionStopsTheCommand) {
  const auto process = start(sleeps);
  const auto command = noted_pid();
  server_.command({"DEL", "k"});
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
  expect_stopped(process, "was lost");
  EXPECT_FALSE(server_.exists("k"));
}

TEST_F(LeaseTest, LostToAnotherOwnerStopsTheCommandAndLeavesThatOwnerAlone) {
  const auto process = start(sleeps);
  const auto command = noted_pid();
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
  expect_stopped(process, "was lost");
  EXPECT_EQ(server_.get("k"), "someone else");
}

TEST_F(LeaseTest, LostByACommandThatHasEndedIsStillReported) {
  const auto process = start("echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done");
  const auto command = noted_pid();
  // Both before it looks again.
  process.pause();
  server_.command({"DEL", "k"});
  notes_.write("end");
  ASSERT_TRUE(eventually(limit, [&] { return !alive(command); }));
  process.resume();
  EXPECT_EQ(process.wait(limit), exited(79));
  EXPECT_THAT(process.stderr_text(), HasSubstr("was lost"));
}

TEST_F(LeaseTest, ThatCanNotBeRenewedStopsTheCommandInTime) {
  const auto process = start(sleeps);
  const auto command = noted_pid();
  server_.kill();
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
  expect_stopped(process, "could not be renewed");
}

TEST_F(LeaseTest, ThatCanNotBeRenewedKillsACommandThatDoesNotStop) {
  const auto process = start(ignores_term);
  const auto command = noted_pid();
  server_.kill();
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
  expect_stopped(process, "could not be renewed");
}

TEST_F(LeaseTest, ThatCanNotBeRenewedKillsTheCommandEvenIfNobodyReadsTheMessages) {
  // `yes` fills the pipe, and `sleep` never reads from it.
  const ChildProcess process(Program{
      .arguments = {"sh", "-c",
                    REDISMUTEX_COMMAND
                    " run --expiry 2 k sh -c 'trap \"\" TERM; echo $$ > $DIR/pid; exec yes >&2' 2>&1 | sleep 1000"},
      .environment = {"REDIS_URL=" + server_.url(), notes_.variable()}});
  const auto command = noted_pid();
  server_.kill();
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
}

TEST_F(LeaseTest, OfASilentServerStopsTheCommandInTime) {
  const auto process = start(ignores_term);
  const auto command = noted_pid();
  server_.pause();
  EXPECT_TRUE(ends_in_time(command, Clock::now()));
  expect_stopped(process, "could not be renewed");
  server_.resume();
}

TEST_F(LeaseTest, SurvivesAShortLossOfTheConnection) {
  constexpr auto lease = 12s;  // leaves seconds for the renewal after an outage, however busy the machine is
  Proxy proxy(server_);
  const auto process =
      start_at(proxy.url(), "echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done; exit 6", lease);
  noted_pid();
  const auto owner = server_.get("k");
  const auto whole = std::chrono::milliseconds(lease).count();
  for (int outage = 0; outage < 2; ++outage) {
    proxy.refuse();
    proxy.cut_all(Ending::rst);
    // Long enough for at least one renewal to fail: they are due every third of the expiry.
    ASSERT_TRUE(eventually(limit, [&] { return server_.pttl("k") < whole * 65 / 100; }));
    proxy.pass();
    ASSERT_TRUE(eventually(limit, [&] { return server_.pttl("k") > whole * 8 / 10; })) << process.stderr_text();
  }
  EXPECT_EQ(server_.get("k"), owner);
  notes_.write("end");
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(6));
  EXPECT_EQ(result.err, "");
}

TEST_F(LeaseTest, LostStopsAllThatTheCommandStarted) {
  const auto process = start(
      "setsid sleep 1000 & echo $! > $DIR/daemon;"
      "(sleep 1000 & echo $! > $DIR/orphan); (trap '' TERM; echo x > $DIR/deaf; sleep 1000) & echo $! > $DIR/child;"
      "echo $$ > $DIR/pid; wait");
  const auto command = noted_pid();
  const auto orphan = noted_pid("orphan");
  const auto child = noted_pid("child");
  const auto daemon = noted_pid("daemon");
  ASSERT_TRUE(notes_.appears("deaf"));
  server_.kill();
  const auto lost_at = Clock::now();
  EXPECT_TRUE(ends_in_time(command, lost_at));
  EXPECT_TRUE(ends_in_time(orphan, lost_at));
  EXPECT_TRUE(ends_in_time(child, lost_at));
  EXPECT_TRUE(ends_in_time(daemon, lost_at));
  expect_stopped(process, "could not be renewed");
}

TEST_F(LeaseTest, LostStopsACommandThatStandsStill) {
  const auto process = start("echo $$ > $DIR/pid; kill -STOP $$");
  const auto command = noted_pid();
  server_.command({"DEL", "k"});
  EXPECT_TRUE(eventually(limit, [&] { return !alive(command); }));
  expect_stopped(process, "was lost");
}

TEST_F(LeaseTest, IsLeftToItselfWhenTheServerDoesNotAnswerTheRelease) {
  const auto process = start("echo $$ > $DIR/pid; until [ -e $DIR/end ]; do sleep 0.01; done; exit 6");
  noted_pid();
  server_.pause();
  notes_.write("end");
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(6));
  EXPECT_THAT(result.err, HasSubstr("could not be released"));
  server_.resume();
}

}  // namespace
}  // namespace redismutex::testing
