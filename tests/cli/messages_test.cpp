// People learn who has the lock, since when and what to do about it; those who wait at a terminal see where they stand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "command.hpp"
#include "support/server.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
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
                    HasSubstr("never ends by itself"), HasSubstr("redismutex status 'it'\\''s; rm -r'")));
}

// By whoever types it, as it was typed; but a password is not repeated.
TEST_F(MessagesTest, TakenNamesTheServerAsItWasNamed) {
  Server strict({.tcp = true});
  strict.command({"ACL", "SETUSER", "u", "on", ">secret", "~*", "&*", "+@all"});
  const auto port = std::to_string(strict.port());
  const std::string url = "redis://u:secret@127.0.0.1:" + port;
  const Connection connection{url};
  const auto lock = RedisMutex{connection, {.blocking = false, .expiry = 60s}}.acquire_lock("-k");
  const auto result = redismutex({"run", "--url", url, "-n", "--", "-k", "true"}, {});
  EXPECT_EQ(result.status, exited(75));
  EXPECT_THAT(result.err, HasSubstr("redismutex break --url redis://127.0.0.1:" + port + " -- -k"));
  EXPECT_THAT(result.err, Not(HasSubstr("secret")));
}

// What is no lock is never free: it is no reason to come again, also for those who take "taken" for success.
TEST_F(MessagesTest, WhatIsNoLockIsAnError) {
  server_.command({"RPUSH", "k", "element"});
  const std::vector<std::string> environment{"REDIS_URL=" + server_.url()};
  for (const auto& how : std::vector<std::vector<std::string>>{{"-n"}, {"-n", "-q", "-E", "0"}, {"-w", "0.1"}}) {
    for (const std::string command : {"run", "hold"}) {
      std::vector<std::string> words{command};
      words.insert(words.end(), how.begin(), how.end());
      words.emplace_back("k");
      if (command == "run") words.emplace_back("true");
      const auto result = redismutex(words, environment);
      EXPECT_EQ(result.status, exited(70)) << result.err;
      EXPECT_THAT(result.err, AnyOf(HasSubstr("'k' is no lock: something of the type list"), HasSubstr("WRONGTYPE")));
      EXPECT_THAT(result.err, Not(HasSubstr("script")));
    }
  }
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

bool has_said(const ChildProcess& process, const std::string& text) {
  return eventually(limit, [&] { return process.stderr_text().find(text) != std::string::npos; });
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

// Times pass, but they are no news.
TEST_F(MessagesTest, OfAWaitComeAnewWhenSomethingHasChanged) {
  const auto inside = holder();
  const auto first = start({}, "k", "true");
  ASSERT_TRUE(eventually(limit, [&] { return keys_but_floors(server_).size() > 2; })) << "in line";
  const auto loud = start({"-v"}, "k", "true");
  ASSERT_TRUE(has_said(loud, "waiting for 'k', 2nd in line; inside: ")) << loud.stderr_text();
  std::this_thread::sleep_for(2500ms);  // for two more looks, of which nothing comes
  EXPECT_EQ(count(loud.stderr_text(), "waiting for 'k'"), 1U) << loud.stderr_text();
  first.kill(SIGTERM);
  EXPECT_TRUE(has_said(loud, "waiting for 'k', 1st in line; inside: ")) << loud.stderr_text();
  inside.kill(SIGTERM);
  EXPECT_EQ(loud.wait(limit), exited(0));
}

TEST_F(MessagesTest, OfAServerThatComesAndGoesAreForThoseWhoAskForThem) {
  const auto inside = holder({"--label", "the holder"});
  const auto loud = start({"-v"}, "k", "exit 3");
  ASSERT_TRUE(has_said(loud, "waiting for 'k', 1st in line; inside: ")) << loud.stderr_text();
  server_.stop();
  EXPECT_TRUE(has_said(loud, "this server is away, and is waited for by those who may wait for locks; the reason: "));
  EXPECT_TRUE(has_said(loud, "waiting for 'k'; the server unix://")) << loud.stderr_text();
  server_.start();
  EXPECT_EQ(loud.wait(limit), exited(3));
  EXPECT_THAT(loud.stderr_text(), HasSubstr("this server is there again"));
}

TEST_F(MessagesTest, OfTheLockAreForThoseWhoAskForThem) {
  const auto loud = start({"-v"}, "k", "echo \"token $REDISMUTEX_FENCING_TOKEN\"; exit 3");
  EXPECT_EQ(loud.wait(limit), exited(3));
  const auto token = loud.stdout_text().substr(0, loud.stdout_text().find('\n'));
  EXPECT_THAT(loud.stderr_text(), ContainsRegex("redismutex: took the lock 'k', with " + token + "\n" +
                                                "(.*\n)*redismutex: gave the lock 'k' back\n"));
  const auto quiet = start({}, "k", "exit 3");
  EXPECT_EQ(quiet.wait(limit), exited(3));
  EXPECT_EQ(quiet.stderr_text(), "");
}

TEST_F(MessagesTest, OfRenewalsThatFailAreForThoseWhoAskForThem) {
  for (const bool loud : {true, false}) {
    notes_.write("inside", "");
    Server server;
    std::vector<std::string> words{"run", "--expiry", "2", "k", "sh", "-c", "echo x > $DIR/inside; exec sleep 1000"};
    if (loud) words.insert(words.begin() + 1, "-v");
    const auto process = start_redismutex(words, {"REDIS_URL=" + server.url(), notes_.variable()});
    ASSERT_TRUE(notes_.appears("inside"));
    server.kill();
    EXPECT_EQ(process.wait(limit), exited(79));
    const auto failed = HasSubstr("locks could not be renewed and will be tried again; the reason: ");
    if (loud) {
      EXPECT_THAT(process.stderr_text(), failed);
    } else {
      EXPECT_THAT(process.stderr_text(), Not(failed));
    }
    EXPECT_THAT(process.stderr_text(), Not(HasSubstr("gave the lock")));
  }
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

// A longer line could not be drawn over.
TEST_F(MessagesTest, OfAWaitAreNoLongerThanALineOfTheTerminal) {
  constexpr std::size_t width = 79;  // of a terminal that does not tell: 80, less the last column
  const std::string key(width, 'k');
  server_.command({"SET", key, "someone else", "PX", "600000"});
  TerminalJob job(Program{.arguments = {REDISMUTEX_COMMAND, "run", key, "true"},
                          .environment = {"REDIS_URL=" + server_.url(), "TERM=xterm"}});
  std::string screen;
  EXPECT_TRUE(eventually(limit, [&] {
    screen += job.output();
    return count(screen, "\x1b[K") >= 2;
  })) << screen;
  job.type("\x03");
  EXPECT_EQ(job.next_event(), "exit code 130");
  for (std::size_t begin = 0, end = 0; (end = screen.find("\x1b[K", begin)) != std::string::npos; begin = end + 3) {
    const auto line = screen.substr(begin, end - begin);
    EXPECT_THAT(line, ::testing::StartsWith("\rwaiting for 'kkk"));
    EXPECT_LE(line.size() - 1, width);
  }
}

// There the shell has its prompt.
TEST_F(MessagesTest, OfAWaitInTheBackgroundAreNotDrawn) {
  server_.command({"SET", "k", "someone else", "PX", "600000"});
  TerminalJob job(Program{.arguments = {"bash", "-mc", REDISMUTEX_COMMAND " run k true & wait $!"},
                          .environment = {"REDIS_URL=" + server_.url(), "TERM=xterm"}});
  ASSERT_TRUE(eventually(limit, [&] { return keys_but_floors(server_).size() > 1; })) << "in line";
  std::this_thread::sleep_for(2500ms);  // for two looks
  EXPECT_EQ(job.output(), "");
  server_.command({"DEL", "k"});
  EXPECT_EQ(job.next_event(), "exit code 0");
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
