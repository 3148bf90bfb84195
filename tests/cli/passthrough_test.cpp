// The command finds what it would find without redismutex: the same input, output, arguments, descriptors, signals and
// environment, but for the two variables that say what is locked.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "command.hpp"
#include "support/server.hpp"

namespace redismutex::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Passthrough : public ::testing::Test {
 protected:
  Result run(const std::string& script, const std::string& input = {}) {
    return redismutex({"run", "k", "sh", "-c", script}, {"REDIS_URL=" + server_.url()}, input);
  }

  /// A shell line in which $R stands for nothing or for `redismutex run k`.
  std::string with(const std::string& replacement, const std::string& line) {
    const auto result = result_of(ChildProcess(
        Program{.arguments = {"sh", "-c", line}, .environment = {"REDIS_URL=" + server_.url(), "R=" + replacement}}));
    EXPECT_EQ(result.status, exited(0)) << result.err;
    return result.out + result.err;
  }

  void expect_no_difference(const std::string& line) {
    EXPECT_EQ(with(REDISMUTEX_COMMAND " run k", line), with("env", line));
  }

  Server server_;
};

// Signals 32 and 33 are the C library's own: a program that has threads can not leave them ignored, as a shell may.
constexpr std::uint64_t library_signals = 0x180000000;

/// The same lines of /proc/PID/status without the C library's own signals.
std::string without_library_signals(const std::string& status) {
  std::istringstream lines{status};
  std::ostringstream result;
  for (std::string name; lines >> name;) {
    std::uint64_t mask = 0;
    lines >> std::hex >> mask;
    result << name << ' ' << std::hex << (mask & ~library_signals) << '\n';
  }
  return result.str();
}

std::string all_bytes(std::size_t size) {
  std::string result(size, '\0');
  unsigned state = 1;
  for (auto& byte : result) byte = static_cast<char>((state = state * 1103515245 + 12345) >> 16);
  return result;
}

TEST_F(Passthrough, OfInputAndOutputIsByteExact) {
  const auto bytes = all_bytes(1'000'000);
  const auto result = run("cat", bytes);
  EXPECT_EQ(result.status, exited(0));
  EXPECT_TRUE(result.out == bytes);
  EXPECT_EQ(result.err, "");
}

// What the command does not read is left for whoever comes after it.
TEST_F(Passthrough, LeavesInputToOthers) {
  const auto result = result_of(ChildProcess(Program{.arguments = {"sh", "-c", REDISMUTEX_COMMAND " run k true; cat"},
                                                     .environment = {"REDIS_URL=" + server_.url()},
                                                     .input = "first\nsecond\n"}));
  EXPECT_EQ(result.out, "first\nsecond\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(Passthrough, KeepsOutputAndErrorsApart) {
  const auto result = run("echo out; echo err >&2");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST_F(Passthrough, AddsKeyAndValueToTheEnvironment) {
  const auto result = redismutex({"run", "my key", "sh", "-c", "echo \"$REDISMUTEX_KEY $REDISMUTEX_VALUE $OTHER\""},
                                 {"REDIS_URL=" + server_.url(), "OTHER=kept", "REDISMUTEX_KEY=of someone else"});
  EXPECT_THAT(result.out, ::testing::MatchesRegex("my key [0-9a-f-]{36} kept\n"));
}

TEST_F(Passthrough, ValueIsTheOneStoredAtTheKey) {
  Notes notes;
  const auto process = start_redismutex(
      {"run", "k", "sh", "-c", "echo $REDISMUTEX_VALUE > $DIR/value; until [ -e $DIR/end ]; do sleep 0.01; done"},
      {"REDIS_URL=" + server_.url(), notes.variable()});
  ASSERT_TRUE(notes.appears("value"));
  EXPECT_EQ(server_.get("k").value_or("") + "\n", notes.read("value"));
  notes.write("end");
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(Passthrough, OfDescriptors) {
  expect_no_difference("exec 7</dev/null; $R sh -c 'for i in /proc/self/fd/*; do echo $i; done'");
}

TEST_F(Passthrough, OfSignalsBlockedAndIgnored) {
  const std::string show = "$R grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status";
  for (const std::string& before : {std::string{}, std::string{"trap '' HUP PIPE TSTP; "}}) {
    EXPECT_EQ(without_library_signals(with(REDISMUTEX_COMMAND " run k", before + show)),
              without_library_signals(with("env", before + show)));
  }
}

TEST_F(Passthrough, WorksWhereTheEndOfChildrenIsIgnored) {
  const auto status_of = [url = server_.url()](const char* program, const char* option, const char* argument) {
    return ChildProcess([=] {
             ::signal(SIGCHLD, SIG_IGN);
             ::setenv("REDIS_URL", url.c_str(), 1);
             return ::execl(REDISMUTEX_COMMAND, REDISMUTEX_COMMAND, "run", "k", program, option, argument,
                            "/proc/self/status", nullptr);
           })
        .wait(limit);
  };
  EXPECT_EQ(status_of("sh", "-c", "exit 3"), exited(3));
  EXPECT_EQ(status_of("grep", "-qE", "^SigIgn:\\s*0+(1?8)?0*10000$"), exited(0));  // bit 16 is SIGCHLD
}

TEST_F(Passthrough, OfClosedDescriptorsThatNothingElseTakes) {
  expect_no_difference("$R sh -c 'for i in 0 1 2; do [ -e /proc/self/fd/$i ] || echo no $i; done' <&- 2>&-");
  // Own messages have nowhere to go then; above all not into the connection to the server.
  EXPECT_EQ(with("", REDISMUTEX_COMMAND " run k sh -c 'readlink /proc/$PPID/fd/[02]' 0<&- 2>&-"),
            "/dev/null\n/dev/null\n");
}

TEST_F(Passthrough, HidesAPasswordFromTheProcessList) {
  Server locked({.password = "s3cret"});
  const auto result = redismutex({"run", "--url", locked.url(), "k", "sh", "-c", "cat /proc/$PPID/cmdline"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, HasSubstr(locked.socket_path()));
  EXPECT_THAT(result.out, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace redismutex::testing
