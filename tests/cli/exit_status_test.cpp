// Every way to end has its exit status, and none leaves a lock behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "command.hpp"
#include "sandbox.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ExitStatusTest : public ::testing::Test {
 protected:
  Result run(const std::vector<std::string>& words) { return run_at(server_.url(), words); }

  static Result run_at(const std::string& url, const std::vector<std::string>& words) {
    std::vector<std::string> arguments{"run"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return redismutex(arguments, {"REDIS_URL=" + url});
  }

  void someone_else_holds(const std::string& key) { server_.command({"SET", key, "someone else", "PX", "600000"}); }

  Server server_;
};

TEST_F(ExitStatusTest, IsThatOfTheCommand) {
  for (const int status : {0, 1, 64, 79, 255}) {
    const auto result = run({"k", "sh", "-c", "exit " + std::to_string(status)});
    EXPECT_EQ(result.status, exited(status));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

TEST_F(ExitStatusTest, Is128AndTheSignalOfACommandThatWasKilled) {
  EXPECT_EQ(run({"k", "sh", "-c", "kill -KILL $$"}).status, exited(128 + SIGKILL));
  EXPECT_EQ(run({"k", "sh", "-c", "kill -TERM $$"}).status, exited(128 + SIGTERM));
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

TEST_F(ExitStatusTest, Is127ForACommandThatDoesNotExist) {
  for (const std::string program : {"no-such-program", "/no/such/program"}) {
    const auto result = redismutex({"run", "k", program}, {"REDIS_URL=" + server_.url(), "PATH=/usr/bin:/bin"});
    EXPECT_EQ(result.status, exited(127));
    EXPECT_THAT(result.err, HasSubstr("cannot run '" + program + "': No such file"));
  }
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

TEST_F(ExitStatusTest, Is126ForACommandThatMayNotBeExecuted) {
  const Notes notes;
  notes.write("not-executable");
  const auto result = run({"k", notes.path("not-executable")});
  EXPECT_EQ(result.status, exited(126));
  EXPECT_THAT(result.err, HasSubstr("not-executable': Permission denied"));
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

// As in bash: the script is there, so "No such file" about it would mislead.
TEST_F(ExitStatusTest, Is126ForAScriptWithoutItsInterpreter) {
  const Notes notes;
  notes.write("script", "#!/no/such/interpreter\n");
  std::filesystem::permissions(notes.path("script"), std::filesystem::perms::owner_all);
  const auto result = run({"k", notes.path("script")});
  EXPECT_EQ(result.status, exited(126));
  EXPECT_THAT(result.err, HasSubstr("script': the interpreter"));
  EXPECT_EQ(keys_but_floors(server_), std::vector<std::string>{});
}

// Our options after KEY are taken for the command, and the message says so.
TEST_F(ExitStatusTest, Is127AndExplainsOptionsThatComeTooLate) {
  const auto result = run({"k", "-n", "true"});
  EXPECT_EQ(result.status, exited(127));
  EXPECT_THAT(result.err, HasSubstr("'-n': No such file or directory (options of redismutex itself go before KEY)"));
}

// Also where that option is the one that names the server.
TEST_F(ExitStatusTest, Is64AndExplainsAServerThatComesTooLate) {
  for (const std::vector<std::string>& late :
       {std::vector<std::string>{"--url", server_.url()}, {"--url=" + server_.url()}, {"--url-file", "/nowhere"}}) {
    std::vector<std::string> words{"run", "k"};
    words.insert(words.end(), late.begin(), late.end());
    words.insert(words.end(), {"echo", "hi"});
    const auto result = redismutex(words, {"REDIS_URL=", "REDISMUTEX_URL="});
    EXPECT_EQ(result.status, exited(64));
    EXPECT_THAT(result.err, ::testing::AllOf(HasSubstr("no server is named"),
                                             HasSubstr("(options of redismutex itself go before KEY)")));
  }
  const auto other = redismutex({"run", "k", "echo", "--url", server_.url()}, {"REDIS_URL=", "REDISMUTEX_URL="});
  EXPECT_THAT(other.err, ::testing::Not(HasSubstr("go before KEY")));
}

TEST_F(ExitStatusTest, Is127AndExplainsALineOfAShell) {
  const auto result = run({"k", "echo hi there"});
  EXPECT_EQ(result.status, exited(127));
  EXPECT_THAT(result.err,
              HasSubstr("'echo hi there': No such file or directory (a line for a shell? sh -c 'echo hi there')"));
  EXPECT_THAT(run({"k", "echo hi", "there"}).err, ::testing::Not(HasSubstr("sh -c")));
}

TEST_F(ExitStatusTest, Is75ForATakenLockAtOnceOrAfterTheWait) {
  someone_else_holds("k");
  const Notes notes;
  for (const auto& how : std::vector<std::vector<std::string>>{{"-n"}, {"-w", "0"}, {"-w", "0.3"}, {"-w", "300ms"}}) {
    auto arguments = how;
    arguments.insert(arguments.end(), {"k", "touch", notes.path("ran")});
    const auto start = std::chrono::steady_clock::now();
    const auto result = run(arguments);
    const auto least = how.back().find('3') == std::string::npos ? 0ms : 300ms;
    EXPECT_GE(std::chrono::steady_clock::now() - start, least);
    EXPECT_EQ(result.status, exited(75));
    EXPECT_THAT(result.err, HasSubstr(least > 0ms ? "'k' was still taken after the wait" : "'k' is taken"));
  }
  EXPECT_FALSE(std::ifstream(notes.path("ran")).good());
  EXPECT_EQ(server_.get("k"), "someone else");
}

// For cron, which sends all that is printed by mail: nothing, and success, when the lock is taken.
TEST_F(ExitStatusTest, IsChosenByTheUserForATakenLock) {
  someone_else_holds("k");
  const auto chosen = run({"-n", "-E", "3", "k", "true"});
  EXPECT_EQ(chosen.status, exited(3));
  EXPECT_THAT(chosen.err, HasSubstr("'k' is taken"));
  for (const auto& how : std::vector<std::vector<std::string>>{{"-n"}, {"-w", "0.1"}}) {
    auto arguments = how;
    arguments.insert(arguments.end(), {"--quiet", "--conflict-exit-code=0", "k", "true"});
    const auto result = run(arguments);
    EXPECT_EQ(result.status, exited(0));
    EXPECT_EQ(result.out + result.err, "");
  }
  EXPECT_EQ(run({"-n", "-q", "-E", "0", "free", "sh", "-c", "exit 75"}).status, exited(75));
}

// cron mails whatever a job writes, and has nearly no environment.
TEST_F(ExitStatusTest, OfACronJobWhoseLockIsTakenIsChosenAndNothingIsSaid) {
  someone_else_holds("k");
  const auto result = redismutex_with_system_file(server_.url(), {"run", "-n", "-q", "-E", "0", "k", "true"},
                                                  {"HOME=/", "LOGNAME=x", "PATH=/usr/bin:/bin", "SHELL=/bin/sh"});
  EXPECT_EQ(result.status, exited(0));
  EXPECT_EQ(result.out + result.err, "");
}

TEST_F(ExitStatusTest, QuietHidesNoErrors) {
  server_.stop();
  const auto result = run({"-n", "-q", "-E", "0", "k", "true"});
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr(server_.socket_path()));
}

// exec() says "permission denied" of a directory that it can not look into; a shell says that there is no such program.
TEST_F(ExitStatusTest, Is127WithAnUnreadableDirectoryInThePath) {
  const Server server({.tcp = true});
  const Notes notes;
  const auto closed = notes.path("closed");
  std::filesystem::create_directory(closed);
  std::ofstream(notes.path("closed/hidden")) << "#!/bin/sh\n";
  std::filesystem::permissions(closed, std::filesystem::perms::none);
  for (const std::string program : {"no-such-program", "hidden", "-n"}) {
    const auto result = redismutex_without_privileges(
        {"run", "k", program}, {"REDIS_URL=" + server.tcp_url(), "PATH=" + closed + ":/usr/bin:/bin"});
    EXPECT_EQ(result.status, exited(127)) << result.err;
    EXPECT_THAT(result.err, HasSubstr("cannot run '" + program + "': No such file"));
  }
  EXPECT_EQ(redismutex_without_privileges({"run", "k", "true"},
                                          {"REDIS_URL=" + server.tcp_url(), "PATH=" + closed + ":/usr/bin:/bin"})
                .status,
            exited(0));
  std::filesystem::permissions(closed, std::filesystem::perms::owner_all);
}

TEST_F(ExitStatusTest, Is126ForAProgramInThePathThatMayNotBeExecuted) {
  const Server server({.tcp = true});
  const Notes notes;
  notes.write("here");
  std::filesystem::permissions(notes.directory(), std::filesystem::perms(0755));
  const auto result = redismutex_without_privileges(
      {"run", "k", "here"}, {"REDIS_URL=" + server.tcp_url(), "PATH=" + notes.directory() + ":/usr/bin:/bin"});
  EXPECT_EQ(result.status, exited(126));
  EXPECT_THAT(result.err, HasSubstr("'here': Permission denied"));
}

TEST_F(ExitStatusTest, Is69WithoutAServer) {
  server_.stop();
  const auto result = run({"-n", "k", "true"});
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, AllOf(HasSubstr(server_.socket_path()), HasSubstr("$REDIS_URL; --url names another")));
  const auto named = redismutex({"run", "-n", "--url", server_.url(), "k", "true"});
  EXPECT_EQ(named.status, exited(69));
  EXPECT_THAT(named.err, Not(HasSubstr("$REDIS_URL")));
}

TEST_F(ExitStatusTest, Is69ForAServerThatDoesNotAnswer) {
  server_.pause();
  EXPECT_EQ(run({"-n", "k", "true"}).status, exited(69));
  EXPECT_EQ(run({"-w", "0.3", "k", "true"}).status, exited(69));
  server_.resume();
}

TEST_F(ExitStatusTest, Is70AndNamesTheCodeWhenTheServerRefuses) {
  Server full({.directives = {"maxmemory 1", "maxmemory-policy noeviction"}});
  const auto result = run_at(full.url(), {"k", "true"});
  EXPECT_EQ(result.status, exited(70));
  EXPECT_THAT(result.err, HasSubstr("OOM"));
}

TEST_F(ExitStatusTest, Is77ForRefusedCredentialsAndTheMessageKeepsThem) {
  const Server locked({.password = "right"});
  for (const std::string login : {"", ":wr0ng@", "alice:wr0ng@"}) {
    const auto result = run_at("unix://" + login + locked.socket_path(), {"k", "true"});
    EXPECT_EQ(result.status, exited(77)) << result.err;
    EXPECT_THAT(result.err, AllOf(Not(HasSubstr("wr0ng")), HasSubstr("redis://USER:PASSWORD@HOST")));
  }
  EXPECT_EQ(run_at(locked.url(), {"k", "true"}).status, exited(0));
}

TEST_F(ExitStatusTest, ServerNamedByOptionWinsOverTheEnvironment) {
  const auto result = redismutex({"run", "--url", server_.url(), "k", "true"}, {"REDIS_URL=redis://localhost:1"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
}

}  // namespace
}  // namespace redismutex::testing
