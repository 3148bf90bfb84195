// Help shows examples first; what is wrong with the arguments is said by name and with its bound, before any server is
// contacted ($REDIS_URL names none that exists); where the command begins, our options end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<std::string> nowhere{"REDIS_URL=unix:///nonexistent/redis.sock"};

TEST(Help, ShowsExamplesFirst) {
  for (const auto& arguments : {std::vector<std::string>{"--help"}, {"run", "--help"}}) {
    const auto result = redismutex(arguments, nowhere);
    EXPECT_EQ(result.status, exited(0));
    EXPECT_EQ(result.err, "");
    const auto examples = result.out.find("Examples:\n  redismutex run ");
    const auto usage = result.out.find("Usage: redismutex ");
    const auto options = result.out.find("Options:");
    EXPECT_LT(examples, usage);
    EXPECT_LT(usage, options);
    EXPECT_NE(options, std::string::npos);
  }
}

// What is no terminal has 80 columns: nothing is wider, of any help.
TEST(Help, IsFolded) {
  for (const std::string subcommand : {"", "run", "hold", "status", "ls", "watch", "break", "doctor", "bench"}) {
    std::vector<std::string> words{"--help"};
    if (!subcommand.empty()) words.insert(words.begin(), subcommand);
    std::istringstream lines{redismutex(words, nowhere).out};
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const auto follows = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80; };
      EXPECT_LE(line.size() - static_cast<std::size_t>(std::count_if(line.begin(), line.end(), follows)), 80U) << line;
    }
    EXPECT_GT(count, 10) << subcommand;
  }
}

// "the other places for it are below".
TEST(Help, SaysWhereTheUrlIsLookedFor) {
  for (const std::string subcommand : {"run", "status", "ls", "watch", "break", "doctor", "bench"}) {
    EXPECT_THAT(redismutex({subcommand, "--help"}, nowhere).out, HasSubstr("/etc/redismutex/url"));
  }
}

TEST(Help, NamesEveryExitStatus) {
  const auto text = redismutex({"run", "--help"}, nowhere).out;
  for (const auto* status : {"64", "69", "70", "75", "77", "79", "126", "127"}) EXPECT_THAT(text, HasSubstr(status));
}

// As people know it from other commands.
TEST(Help, IsAskedForByAWordToo) {
  EXPECT_EQ(redismutex({"help"}, nowhere).out, redismutex({"--help"}, nowhere).out);
  for (const std::string subcommand : {"run", "hold", "ls"}) {
    const auto result = redismutex({"help", subcommand}, nowhere);
    EXPECT_EQ(result.status, exited(0));
    EXPECT_EQ(result.out, redismutex({subcommand, "--help"}, nowhere).out);
  }
  EXPECT_EQ(redismutex({"help", "walk"}, nowhere).status, exited(64));
  EXPECT_EQ(redismutex({"version"}, nowhere).out, redismutex({"--version"}, nowhere).out);
}

TEST(Help, IsNotTakenForWrittenWhereItCouldNotBe) {
  for (const std::string words : {"--help", "--version", "run --help", "hold --help", "ls --help"}) {
    const std::string command = std::string{"exec "} + REDISMUTEX_COMMAND + " " + words + " >/dev/full";
    const auto result = result_of(ChildProcess(Program{.arguments = {"sh", "-c", command}}));
    EXPECT_EQ(result.status, exited(70)) << words;
    EXPECT_THAT(result.err, HasSubstr("cannot write to standard output"));
  }
}

TEST(Version, IsThatOfTheLibrary) {
  const auto result = redismutex({"--version"}, nowhere);
  EXPECT_EQ(result.status, exited(0));
  EXPECT_THAT(result.out, ::testing::MatchesRegex("redismutex [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

struct Wrong {
  std::vector<std::string> arguments;
  std::vector<std::string> said;

  friend std::ostream& operator<<(std::ostream& out, const Wrong& wrong) {
    for (const auto& word : wrong.arguments) out << "'" << word.substr(0, 40) << "' ";
    return out;
  }
};

class UsageError : public ::testing::TestWithParam<Wrong> {};

TEST_P(UsageError, IsExplained) {
  const auto result = redismutex(GetParam().arguments, nowhere);
  EXPECT_EQ(result.status, exited(64));
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("redismutex: "));
  for (const auto& text : GetParam().said) EXPECT_THAT(result.err, HasSubstr(text));
}

INSTANTIATE_TEST_SUITE_P(
    Words, UsageError,
    ::testing::Values(Wrong{{}, {"a subcommand is required", "try: redismutex --help"}},                          //
                      Wrong{{"walk", "k", "true"}, {"'walk' is no subcommand", "'walk'"}},                        //
                      Wrong{{"-n", "k", "true"}, {"'-n' is no subcommand", "'-n'"}},                              //
                      Wrong{{"run"}, {"KEY", "try: redismutex run --help"}},                                      //
                      Wrong{{"run", "k"}, {"COMMAND"}},                                                           //
                      Wrong{{"run", "k", "--"}, {"COMMAND"}},                                                     //
                      Wrong{{"run", "", "true"}, {"KEY", "empty"}},                                               //
                      Wrong{{"run", std::string(5000, 'k'), "true"}, {"key", "4096"}},                            //
                      Wrong{{"run", "--frob", "k", "true"}, {"--frob"}},                                          //
                      Wrong{{"run", "-n", "-w", "1", "k", "true"}, {"--nonblock", "--wait"}},                     //
                      Wrong{{"run", "-w"}, {"--wait"}},                                                           //
                      Wrong{{"run", "-w", "-1", "k", "true"}, {"--wait", "-1", "at least 0"}},                    //
                      Wrong{{"run", "-w", "1w", "k", "true"}, {"--wait", "1w", "seconds", "2h"}},                 //
                      Wrong{{"run", "-w", "nan", "k", "true"}, {"--wait", "nan"}},                                //
                      Wrong{{"run", "-w", "inf", "k", "true"}, {"--wait", "inf", "no duration"}},                 //
                      Wrong{{"run", "--wait=1e9", "k", "true"}, {"--wait", "1e9"}},                               //
                      Wrong{{"run", "--expiry", "0", "k", "true"}, {"--expiry", "0", "at least 0.1"}},            //
                      Wrong{{"run", "--expiry", "86401", "k", "true"}, {"--expiry", "86401", "86400"}},           //
                      Wrong{{"run", "--replicas", "most", "k", "true"}, {"--replicas", "'most'", "'majority'"}},  //
                      Wrong{{"run", "--replicas", "-1", "k", "true"}, {"--replicas", "-1"}},                      //
                      Wrong{{"run", "-E", "256", "k", "true"}, {"--conflict-exit-code", "256", "255"}},           //
                      Wrong{{"run", "-E", "-1", "k", "true"}, {"--conflict-exit-code", "-1"}},                    //
                      Wrong{{"run", "--background", "kill", "k", "true"}, {"--background", "'wait'"}}));

INSTANTIATE_TEST_SUITE_P(Urls, UsageError,
                         ::testing::Values(Wrong{{"run", "--url", "", "k", "true"}, {"--url", "$REDIS_URL"}},
                                           Wrong{{"run", "--url", "http://localhost", "k", "true"},
                                                 {"http", "redis://"}},
                                           Wrong{{"run", "--url", "redis://localhost:66000", "k", "true"}, {"port"}},
                                           Wrong{{"run", "--url", "redis://localhost/x", "k", "true"}, {"database"}},
                                           Wrong{{"run", "--url", "embedded:x", "k", "true"}, {"embedded"}}));

// By somebody who has never written one.
TEST(Url, SaysWhatIsMeant) {
  const auto said = [](const std::string& url) { return redismutex({"run", "--url", url, "k", "true"}, {}).err; };
  EXPECT_THAT(said("localhost:6379"),
              HasSubstr("--url: 'localhost:6379' is no URL; did you mean redis://localhost:6379?"));
  EXPECT_THAT(said("memory:x"), HasSubstr("for this machine alone there is embedded:"));
  EXPECT_THAT(redismutex({"status", "--url", "embedded:x", "k"}, {}).err, HasSubstr("takes nothing behind it"));
  EXPECT_THAT(said("secret@localhost"), Not(HasSubstr("secret")));
  EXPECT_THAT(said("http://localhost"), HasSubstr("a URL begins with one of redis:// rediss://"));
}

TEST(Url, IsSaidToComeFromWhereItComesFrom) {
  const auto by_environment = redismutex({"run", "k", "true"}, {"REDIS_URL=localhost"});
  EXPECT_EQ(by_environment.status, exited(64));
  EXPECT_THAT(by_environment.err, AllOf(HasSubstr("$REDIS_URL: 'localhost' is no URL"), HasSubstr("try: ")));
  const auto by_option = redismutex({"run", "--url", "localhost", "k", "true"}, {"REDIS_URL=redis://localhost"});
  EXPECT_EQ(by_option.status, exited(64));
  EXPECT_THAT(by_option.err, HasSubstr("--url: 'localhost' is no URL"));
}

// A key may hold anything; what is said about it is one line that does nothing to a terminal.
TEST(Messages, ShowNoControlCharacters) {
  Server server;
  const std::string key = "a\n\x1b[2Jb\xc2\x9b\x9b\xc3\xa9";
  server.command({"SET", key, "someone else", "PX", "600000"});
  const auto result = redismutex({"run", "-n", key, "true"}, {"REDIS_URL=" + server.url()});
  EXPECT_EQ(result.status, exited(75));
  EXPECT_THAT(result.err,
              ::testing::StartsWith("redismutex: the lock 'a\\n\\x1b[2Jb\\xc2\\x9b\\x9b\xc3\xa9' is taken by"));
  EXPECT_EQ(result.err.find_first_of("\n\x1b"), result.err.size() - 1);
}

TEST(Url, NeverAppearsInErrorsWithItsPassword) {
  const auto result = redismutex({"run", "--url", "redis://:s3cret@localhost:66000", "k", "true"}, nowhere);
  EXPECT_EQ(result.status, exited(64));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("s3cret")));
}

/// What the command `printf '<%s>' ...` is given when redismutex is given `arguments`.
class Words : public ::testing::Test {
 protected:
  std::string after_run(const std::vector<std::string>& words) {
    std::vector<std::string> arguments{"run"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const auto result = redismutex(arguments, {"REDIS_URL=" + server_.url()});
    EXPECT_EQ(result.status, exited(0)) << result.err;
    return result.out;
  }

  Server server_;
};

TEST_F(Words, AfterTheKeyBelongToTheCommand) {
  EXPECT_EQ(after_run({"k", "printf", "<%s>", "-n", "--url", "-w", "--help"}), "<-n><--url><-w><--help>");
}

TEST_F(Words, OfOurOwnEndAtADoubleDash) {
  EXPECT_EQ(after_run({"k", "--", "printf", "<%s>", "a"}), "<a>");
  EXPECT_EQ(after_run({"-w", "1", "k", "--", "printf", "<%s>", "a", "--", "b"}), "<a><--><b>");
  EXPECT_EQ(after_run({"--", "-k", "printf", "<%s>", "a"}), "<a>");
}

TEST_F(Words, ArriveAsTheyAre) {
  EXPECT_EQ(after_run({"k", "printf", "<%s>", "", "[a,b]", "{}", "a b", "\"", "run", "--x=", "\xff"}),
            "<><[a,b]><{}><a b><\"><run><--x=><\xff>");
}

TEST_F(Words, MayJoinOptionAndValue) {
  EXPECT_EQ(after_run({"-w0.5", "--expiry=1.5", "k", "echo", "a"}), "a\n");
  EXPECT_EQ(after_run({"--wait=1", "k", "echo", "a"}), "a\n");
  // As with flock: the last letter's value may be the next word.
  EXPECT_EQ(after_run({"-nE", "0", "k", "echo", "a"}), "a\n");
  EXPECT_EQ(after_run({"-qw", "3", "k", "echo", "a"}), "a\n");
  EXPECT_EQ(after_run({"-nE0", "k", "echo", "a"}), "a\n");
}

}  // namespace
}  // namespace redismutex::testing
