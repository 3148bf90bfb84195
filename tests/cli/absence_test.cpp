// Whoever waits for a lock waits for the server, too, as long as the wait lasts or --patience allows; and a lock that is held
// survives an absence of 0.45 of its expiry, whenever that begins.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "command.hpp"
#include "support/proxy.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;

class AbsenceTest : public ::testing::Test {
 protected:
  ChildProcess start(std::vector<std::string> options, const std::string& script) {
    return start_at(server_.url(), std::move(options), script);
  }

  ChildProcess start_at(const std::string& url, std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {"k", "sh", "-c", script});
    return start_redismutex(options, {"REDIS_URL=" + url, notes_.variable()});
  }

  void someone_else_holds() { server_.command({"SET", "k", "someone else", "PX", "600000"}); }

  bool is_waited_for() {
    return eventually(limit, [&] { return server_.command_calls()["evalsha"] + server_.command_calls()["eval"] >= 2; });
  }

  Notes notes_;
  Server server_;
};

TEST_F(AbsenceTest, OfAServerThatComesUpLaterIsWaitedFor) {
  server_.stop();
  const auto begun = Clock::now();
  const auto process = start({"-w", "30"}, "exit 3");
  std::this_thread::sleep_for(4s);
  EXPECT_TRUE(process.running());
  server_.start();
  EXPECT_EQ(process.wait(limit), exited(3));
  EXPECT_THAT(process.stderr_text(), HasSubstr("waiting for 'k'; the server unix://"));
  EXPECT_LT(Clock::now() - begun, 30s);
}

TEST_F(AbsenceTest, OfARestartIsSurvivedByAWaiter) {
  someone_else_holds();
  const auto process = start({}, "exit 3");
  ASSERT_TRUE(is_waited_for());
  server_.stop();
  std::this_thread::sleep_for(5s);
  EXPECT_TRUE(process.running());
  server_.start();  // without the key
  EXPECT_EQ(process.wait(limit), exited(3));
}

TEST_F(AbsenceTest, ForAllOfTheWaitIsNoAcquisition) {
  server_.stop();
  const auto begun = Clock::now();
  const auto process = start({"-w", "1.5"}, "echo x > $DIR/ran");
  EXPECT_EQ(process.wait(limit), exited(69));
  EXPECT_GE(Clock::now() - begun, 1500ms);
  EXPECT_EQ(notes_.read("ran"), "");
}

// A replica lets everybody log in, and refuses the first request of each: it is away all the time, and not anew each time.
TEST_F(AbsenceTest, OfAServerThatIsAReplicaIsTold) {
  server_.command({"REPLICAOF", "127.0.0.1", "1"});
  const auto process = start({}, "exit 3");
  EXPECT_TRUE(eventually(limit, [&] {
    return process.stderr_text().find("is away (it is a replica, which takes no locks)") != std::string::npos;
  }));
  EXPECT_TRUE(process.running());
  server_.command({"REPLICAOF", "NO", "ONE"});
  EXPECT_EQ(process.wait(limit), exited(3));
}

TEST_F(AbsenceTest, OfAServerThatIsAReplicaIsWaitedForNoLongerThanPatienceAllows) {
  server_.command({"REPLICAOF", "127.0.0.1", "1"});
  const auto process = start({"--patience", "1.5"}, "echo x > $DIR/ran");
  EXPECT_EQ(process.wait(limit), exited(69));
  EXPECT_THAT(process.stderr_text(), HasSubstr("it is a replica"));
  EXPECT_EQ(notes_.read("ran"), "");
}

// How long is waited is said by who waits, and not by how long a server may take that does not answer.
TEST_F(AbsenceTest, OfAServerThatDoesNotAnswerIsWaitedForNoLongerThanWasSaid) {
  server_.pause();
  const auto begun = Clock::now();
  const auto process = start({"-w", "1"}, "exit 3");
  EXPECT_EQ(process.wait(limit), exited(69));
  EXPECT_LT(Clock::now() - begun, 2500ms);
  server_.resume();
}

TEST_F(AbsenceTest, IsWaitedForNoLongerThanPatienceAllows) {
  server_.stop();
  const auto begun = Clock::now();
  const auto process = start({"--patience", "0.5"}, "echo x > $DIR/ran");
  EXPECT_EQ(process.wait(limit), exited(69));
  EXPECT_GE(Clock::now() - begun, 500ms);
  EXPECT_THAT(process.stderr_text(), AllOf(HasSubstr("cannot acquire lock 'k'"), HasSubstr("--patience")));
  EXPECT_EQ(notes_.read("ran"), "");
}

TEST_F(AbsenceTest, DuringTheWaitIsWaitedForNoLongerThanPatienceAllows) {
  someone_else_holds();
  const auto process = start({"--patience=1"}, "echo x > $DIR/ran");
  ASSERT_TRUE(is_waited_for());
  server_.stop();
  EXPECT_EQ(process.wait(limit), exited(69));
  EXPECT_EQ(notes_.read("ran"), "");
}

TEST_F(AbsenceTest, IsNoReasonNotToHearASignal) {
  server_.stop();
  const auto process = start({}, "echo x > $DIR/ran");
  EXPECT_TRUE(eventually(limit, [&] { return !process.stderr_text().empty(); })) << "it says that it waits";
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(limit), exited(128 + SIGTERM));
}

struct Outage {
  std::string expiry;
  std::chrono::milliseconds absence;
  std::chrono::milliseconds begins_after;
};

class Holder : public AbsenceTest, public ::testing::WithParamInterface<Outage> {};

TEST_P(Holder, SurvivesAnOutage) {
  Proxy proxy(server_);
  const auto process = start_at(proxy.url(), {"--expiry", GetParam().expiry},
                                "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.05; done; exit 6");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto owner = server_.get("k");
  std::this_thread::sleep_for(GetParam().begins_after);
  proxy.refuse();
  proxy.cut_all(Ending::rst);
  std::this_thread::sleep_for(GetParam().absence);
  proxy.pass();
  EXPECT_TRUE(eventually(limit, [&] { return server_.pttl("k") > std::stol(GetParam().expiry) * 900; }))
      << process.stderr_text();
  EXPECT_EQ(server_.get("k"), owner);
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(6)) << process.stderr_text();
}

// The first renewal is 5 ms after the lock was taken, the next one when 0.28 to 0.33 of the lease have passed.
INSTANTIATE_TEST_SUITE_P(
    , Holder, ::testing::Values(Outage{"7", 3150ms, 100ms}, Outage{"7", 3150ms, 1900ms}, Outage{"15", 6s, 4100ms}),
    [](const auto& test) {
      return "OfExpiry" + test.param.expiry + "After" + std::to_string(test.param.begins_after.count());
    });

// The password is changed in the file and on the server, and then the connection breaks.
TEST_F(AbsenceTest, OfAConnectionIsEndedWithThePasswordThatTheFileHasThen) {
  Server locked({.password = "before"});
  const auto url = [&](const std::string& password) { return "unix://:" + password + "@" + locked.socket_path(); };
  notes_.write("url", url("before"));
  const auto process = start_redismutex({"run", "--expiry", "2", "--url-file", notes_.path("url"), "k", "sh", "-c",
                                         "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.05; done; exit 6"},
                                        {notes_.variable()});
  ASSERT_TRUE(notes_.appears("inside"));
  notes_.write("url", url("after"));
  locked.command({"CONFIG", "SET", "requirepass", "after"});
  locked.command({"CLIENT", "KILL", "USER", "default"});
  const auto long_enough = Clock::now() + 3s;
  while (Clock::now() < long_enough) {
    ASSERT_TRUE(locked.exists("k")) << process.stderr_text();
    std::this_thread::sleep_for(10ms);
  }
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(6)) << process.stderr_text();
}

}  // namespace
}  // namespace redismutex::testing
