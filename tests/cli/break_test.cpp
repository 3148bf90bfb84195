// `redismutex break` takes a lock from the holder that it shows, from no other, and only when it is told to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "on_call.hpp"
#include "terminal.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BreakTest : public ::testing::Test, protected OnCall {
 protected:
  std::int64_t noted(const std::string& name) {
    EXPECT_TRUE(notes.appears(name));
    return std::stoll(notes.read(name));
  }
};

// The old COMMAND is asked to end, and the next one is inside.
TEST_F(BreakTest, TakesTheLockFromALiveHolder) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  const auto result = run({"break", "--yes", "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.err, HasSubstr("held by "));
  EXPECT_THAT(result.out, AllOf(HasSubstr("'k' was taken from "), HasSubstr("was told in the same moment")));
  EXPECT_EQ(inside.wait(limit), exited(79));
  EXPECT_EQ(next.wait(limit), exited(0));
  EXPECT_TRUE(notes.appears("told"));
  EXPECT_TRUE(notes.appears("next"));
}

// Both at once: measured from the server's answer on, on a machine that lets its processes run.
TEST_F(BreakTest, TellsBothAtOnce) {
  using Clock = std::chrono::system_clock;
  constexpr int tries = 20;
  for (int i = 1; i <= tries; ++i) {
    std::filesystem::remove(notes.path("inside"));
    std::filesystem::remove(notes.path("told"));
    std::filesystem::remove(notes.path("next"));
    const auto before = Clock::now();
    ASSERT_EQ(std::system("date >/dev/null"), 0);
    const auto start = Clock::now() - before;
    const auto inside = holder("k");
    const auto next = waiter("k");
    const auto began = Clock::now().time_since_epoch() / 1ns;
    ASSERT_EQ(break_lock(connection, "k", server.get("k").value_or("")), Broken::broken);
    const auto told = std::chrono::nanoseconds{noted("told") - began};
    const auto entered = std::chrono::nanoseconds{noted("next") - began};
    EXPECT_EQ(next.wait(limit), exited(0));
    EXPECT_EQ(inside.wait(limit), exited(79));
    // Each starts a shell and a date(1), and the next one its command: what that takes at present is not counted.
    if (told < 50ms + start && entered < 25ms + 2 * start) return;
    std::cout << "told after " << told / 1us << " us, inside after " << entered / 1us << " us\n";
  }
  FAIL() << "in none of " << tries << " tries";
}

TEST_F(BreakTest, SaysThatThereIsNothingToBreak) {
  const auto free = run({"break", "--yes", "k"});
  EXPECT_EQ(free.status, exited(1));
  EXPECT_THAT(free.err, HasSubstr("nobody holds 'k'"));
  server.command({"SET", "k", "theirs", "PX", "60000"});
  const auto foreign = run({"break", "--yes", "k"});
  EXPECT_EQ(foreign.status, exited(70));
  EXPECT_THAT(foreign.err, AllOf(HasSubstr("was not taken by redismutex"),
                                 HasSubstr("delete it: redis-cli -s " + server.socket_path() + " DEL k")));
  EXPECT_EQ(server.get("k"), "theirs");
}

TEST_F(BreakTest, NamesTheDatabaseOfWhatIsToBeDeleted) {
  server.command({"EVAL", "redis.call('SELECT', 2) redis.call('SET', 'k', 'theirs')", "0"});
  const auto foreign = redismutex({"break", "--yes", "k", "--url", server.url() + "?db=2"});
  EXPECT_EQ(foreign.status, exited(70));
  EXPECT_THAT(foreign.err, HasSubstr("delete it: redis-cli -s " + server.socket_path() + " -n 2 DEL k"));
}

// What is to be pasted means that key, whatever is in its name.
TEST_F(BreakTest, NamesTheKeyForAShell) {
  for (const std::string key : {"two\nlines", "no\xffutf8", "quote'back\\slash\x1b[2J\t", "-dash it's"}) {
    server.command({"SET", key, "theirs"});
    const auto result = run({"break", "--yes", "--", key});
    EXPECT_EQ(result.status, exited(70));
    const auto at = result.err.find("delete it: ");
    ASSERT_NE(at, std::string::npos) << result.err;
    const auto command = result.err.substr(at + std::string{"delete it: "}.size());
    const ChildProcess shell{Program{.arguments = {"bash", "-c", command}}};
    EXPECT_EQ(shell.wait(limit), exited(0)) << shell.stderr_text();
    EXPECT_FALSE(server.exists(key)) << command;
  }
}

// What was done is done, also where that can not be written down.
TEST_F(BreakTest, SucceedsWhereNobodyCanBeTold) {
  const auto inside = holder("k");
  const std::string command = std::string{"exec "} + REDISMUTEX_COMMAND + " break --yes k >/dev/full";
  const ChildProcess shell{Program{.arguments = {"sh", "-c", command}, .environment = {"REDIS_URL=" + server.url()}}};
  EXPECT_EQ(shell.wait(limit), exited(0));
  EXPECT_THAT(shell.stderr_text(), HasSubstr("'k' was taken, but standard output can not be written to"));
  EXPECT_EQ(inside.wait(limit), exited(79));
}

TEST_F(BreakTest, TakesItFromNoOtherOwner) {
  const auto inside = holder("k");
  const auto id = server.get("k");
  const auto other = run({"break", "--yes", "--owner", "00000a12-3401-4234-9234-567890abcdef", "k"});
  EXPECT_EQ(other.status, exited(75));
  EXPECT_THAT(other.err,
              AllOf(HasSubstr("held by "), HasSubstr("has another id than '00000a12-3401-4234-9234-567890abcdef'")));
  EXPECT_EQ(server.get("k"), id);
  EXPECT_EQ(run({"break", "--yes", "--owner", id.value_or(""), "k"}).status, exited(0));
  EXPECT_EQ(inside.wait(limit), exited(79));
}

// As of a script in which a variable is not set.
TEST_F(BreakTest, TakesNoEmptyIdForNone) {
  const auto inside = holder("k");
  for (const auto* option : {"--owner", "--waiter"}) {
    const auto result = run({"break", "--yes", option, "", "k"});
    EXPECT_EQ(result.status, exited(64)) << result.err;
    EXPECT_THAT(result.err, HasSubstr(option));
  }
  EXPECT_TRUE(server.exists("k"));
}

TEST_F(BreakTest, DoesNothingWithoutAPersonOrTheirYes) {
  const auto inside = holder("k");
  const auto id = server.get("k");
  EXPECT_EQ(run({"break", "k"}).status, exited(64));
  for (const std::string answer : {"\n", "n\n", "\x04"}) {
    TerminalJob job{{.arguments = {REDISMUTEX_COMMAND, "break", "k"}, .environment = {"REDIS_URL=" + server.url()}}};
    job.type(answer);
    EXPECT_EQ(job.next_event(), "exit code 75");
  }
  EXPECT_EQ(server.get("k"), id);
  TerminalJob job{{.arguments = {REDISMUTEX_COMMAND, "break", "k"}, .environment = {"REDIS_URL=" + server.url()}}};
  job.type("y\n");
  EXPECT_EQ(job.next_event(), "exit code 0");
  EXPECT_EQ(inside.wait(limit), exited(79));
}

TEST_F(BreakTest, TakesAPlaceOutOfTheLine) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  const auto place = inspect(connection, "k").waiters.at(0);
  next.pause();  // or it would line up again
  const auto result = run({"break", "--yes", "--waiter", place.id, "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, HasSubstr("out of the line"));
  EXPECT_EQ(run({"break", "--yes", "--waiter", "00000a12-3401-4234-9234-567890abcdef", "k"}).status, exited(1));
  next.resume();
}

// A holder that is gone can not be told, and that is said.
TEST_F(BreakTest, SaysThatTheHolderIsGone) {
  const ChildProcess gone{[&] {
    const auto lock = RedisMutex{Connection{server.url()}, {.blocking = false, .expiry = 60s}}.acquire_lock("k");
    std::_Exit(lock.owns_lock() ? 0 : 1);  // does not give it back
    return 0;
  }};
  ASSERT_EQ(gone.wait(limit), exited(0));
  ASSERT_TRUE(eventually(limit, [&] { return inspect(connection, "k", {.deep = true}).connected == false; }));
  const auto result = run({"break", "--yes", "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, HasSubstr("it is gone: there was nobody to tell"));
  EXPECT_FALSE(server.exists("k"));
}

// One that nobody is to give back is not shown like that of a process that has died.
TEST_F(BreakTest, OfALockThatWasLeftIsSaid) {
  ASSERT_EQ(run({"hold", "--lease", "1h", "--label", "new disks, ask Ann", "k"}).status, exited(0));
  EXPECT_THAT(run({"status", "k"}).out, HasSubstr("held by someone who left it locked (new disks, ask Ann)"));
  EXPECT_THAT(run({"status", "--deep", "k"}).out, HasSubstr("held by someone who left it locked"));
  EXPECT_THAT(run({"status", "--json", "k"}).out, HasSubstr("\"left\":true"));
  EXPECT_THAT(run({"ls"}).out, HasSubstr("(left) new disks, ask Ann"));
  const auto result = run({"break", "--yes", "k"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, HasSubstr("from someone who left it locked (new disks, ask Ann)"));
  EXPECT_THAT(result.out, HasSubstr("it was left locked: there was nobody to tell"));
  EXPECT_FALSE(server.exists("redismutex:about:{k}"));
}

}  // namespace
}  // namespace redismutex::testing
