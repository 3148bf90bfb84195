// People learn who has the lock, since when and what to do about it; those who wait at a terminal see where they stand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "command.hpp"
#include "support/server.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class MessagesTest : public ::testing::Test {
 protected:
  ChildProcess start(std::vector<std::string> options, const std::string& key, const std::string& script) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {key, "sh", "-c", script});
    return start_redismutex(options, {"REDIS_URL=" + server_.url(), notes_.variable()});
  }

  /// One that holds the key until it is killed.
  ChildProcess holder(std::vector<std::string> options = {}, const std::string& key = "k") {
    auto process = start(std::move(options), key, "echo x > $DIR/inside; exec sleep 1000");
    EXPECT_TRUE(notes_.appears("inside"));
    // The label comes a moment later.
    EXPECT_TRUE(eventually(limit, [&] { return server_.exists("redismutex:about:{" + key + "}"); }));
    return process;
  }

  std::string message_about_taken(const std::vector<std::string>& words) {
    std::vector<std::string> arguments{"run"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const auto result = redismutex(arguments, {"REDIS_URL=" + server_.url()});
    EXPECT_EQ(result.status, exited(75));
    return result.err;
  }

  Notes notes_;
  Server server_;
};

TEST_F(MessagesTest, TakenSaysByWhomSinceWhenAndWhatToDo) {
  const auto inside = holder();
  const auto waiter = start({}, "k", "true");
  ASSERT_TRUE(eventually(
      limit, [&] { return server_.exists("redismutex:waiters:{k}") || keys_but_floors(server_).size() > 2; }));
  EXPECT_THAT(
      message_about_taken({"-n", "k", "true"}),
      AllOf(ContainsRegex("the lock 'k' is taken by [^ ]+ \\(pid [0-9]+, run/sh\\) since [0-9:]+, [0-9.]+ s ago"),
            HasSubstr("1 waits"), ContainsRegex("lease [0-9]\\.[0-9] s"), HasSubstr("redismutex break k")));
}

TEST_F(MessagesTest, TakenSaysTheHoldersOwnWords) {
  const auto inside = holder({"--label", "new disks, ask Ann"});
  EXPECT_THAT(message_about_taken({"-n", "k", "true"}), HasSubstr("'new disks, ask Ann'"));
}

TEST_F(MessagesTest, TakenByAnotherProgramSaysSo) {
  server_.command({"SET", "it's; rm -r", "someone\x1b[2J else"});
  EXPECT_THAT(message_about_taken({"-w", "0.1", "it's; rm -r", "true"}),
              AllOf(HasSubstr("was still taken after the wait by another program"), Not(HasSubstr("\x1b")),
                    HasSubstr("never ends by itself"), HasSubstr("redismutex break 'it'\\''s; rm -r'")));
}

TEST_F(MessagesTest, TakenIsAllThatIsSaidWithoutTheRightToLook) {
  Server strict({.tcp = true});
  strict.command({"SET", "k", "someone else", "PX", "600000"});
  strict.command({"ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-evalsha_ro", "-getrange", "-strlen"});
  const auto result =
      redismutex({"run", "-n", "k", "true"}, {"REDIS_URL=redis://u:p@127.0.0.1:" + std::to_string(strict.port())});
  EXPECT_EQ(result.status, exited(75));
  EXPECT_EQ(result.err, "redismutex: the lock 'k' is taken\n");
}

TEST_F(MessagesTest, OfAWaitAreForThoseWhoAskForThem) {
  const auto inside = holder();
  const auto loud = start({"-v"}, "k", "true");
  EXPECT_TRUE(eventually(limit, [&] {
    return loud.stderr_text().find("redismutex: waiting for 'k', 1st in line; inside: ") != std::string::npos;
  })) << loud.stderr_text();
  EXPECT_THAT(loud.stderr_text(), ContainsRegex("\\(pid [0-9]+, run/sh\\) for [0-9.]+ s"));
  const auto quiet = start({"-w", "1.5"}, "k", "true");
  EXPECT_EQ(quiet.wait(limit), exited(75));
  EXPECT_THAT(quiet.stderr_text(), Not(HasSubstr("waiting")));
}

TEST_F(MessagesTest, OfAWaitAreDrawnAnewOnATerminalAndGoneAfterwards) {
  auto inside = holder();
  TerminalJob job(Program{.arguments = {REDISMUTEX_COMMAND, "run", "k", "sh", "-c", "echo begun; exit 4"},
                          .environment = {"REDIS_URL=" + server_.url(), "TERM=xterm"}});
  std::string screen;
  EXPECT_TRUE(eventually(limit, [&] {
    screen += job.output();
    return screen.find("for 2.") != std::string::npos || screen.find("for 3.") != std::string::npos;
  })) << screen;
  EXPECT_THAT(screen, HasSubstr("waiting for 'k', 1st in line; inside: "));
  EXPECT_THAT(screen, Not(HasSubstr("\n")));
  inside.kill(SIGTERM);
  EXPECT_EQ(job.next_event(), "exit code 4");
  screen += job.output();
  EXPECT_THAT(screen, HasSubstr("\r\x1b[Kbegun"));
}

TEST_F(MessagesTest, NotRenewedSaysForHowLongAndWhy) {
  const auto process = start({"--expiry", "2"}, "k", "echo x > $DIR/inside; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("inside"));
  server_.kill();
  EXPECT_EQ(process.wait(limit), exited(79));
  EXPECT_THAT(process.stderr_text(),
              ContainsRegex("the lock 'k' could not be renewed for 1\\.[0-9] s \\(.*; stopping the command"));
}

TEST_F(MessagesTest, TheTokenIsAlwaysThere) {
  const auto first =
      redismutex({"run", "k", "sh", "-c", "echo $REDISMUTEX_FENCING_TOKEN"}, {"REDIS_URL=" + server_.url()});
  const auto second = redismutex({"run", "--fencing", "k", "sh", "-c", "echo $REDISMUTEX_FENCING_TOKEN"},
                                 {"REDIS_URL=" + server_.url()});
  EXPECT_GT(std::stoull(second.out), std::stoull(first.out));
}

}  // namespace
}  // namespace redismutex::testing
