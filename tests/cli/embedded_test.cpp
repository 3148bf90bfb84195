// `--url embedded:` makes a server of the user's own, for as long as anyone uses it, in a place that nobody else can
// enter; and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "command.hpp"
#include "run_processes.hpp"
#include "sandbox.hpp"
#include "support/raw_client.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class InPrivateTmp : public ::testing::Test {
 protected:
  InPrivateTmp() { enter_private_tmp(); }
};

class Embedded : public InPrivateTmp {
 protected:
  ~Embedded() override {
    // Should a test have failed: its server is a daemon and would stay.
    if (const auto pid = server_pid()) ::kill(pid, SIGKILL);
    eventually(limit, [] { return process_named("embedded-minder") == 0; });
    std::filesystem::remove_all(directory());
  }

  ChildProcess start(const std::vector<std::string>& options, const std::string& key, const std::string& script) {
    std::vector<std::string> arguments{"run", "--url", "embedded:"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {key, "/bin/sh", "-c", script});
    return start_redismutex(arguments, environment_);
  }

  Result run(const std::string& script) { return result_of(start({}, "k", script)); }

  static pid_t server_pid() {
    pid_t pid = 0;
    std::ifstream(directory() + "/redis.pid") >> pid;
    return pid;
  }

  static std::string directory() { return "/tmp/redismutex-" + std::to_string(::geteuid()); }

  /// But what remembers tokens, so that they go on rising.
  static bool nothing_is_left() {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory(), error)) {
      if (entry.path().filename() != "dump.rdb") return false;
    }
    return true;
  }

  void expect_nothing_left(pid_t server) const {
    EXPECT_TRUE(eventually(limit, [&] { return !alive(server); }));
    EXPECT_TRUE(eventually(limit, nothing_is_left));
  }

  Notes notes_;
  std::vector<std::string> environment_{notes_.variable()};
};

TEST_F(Embedded, ServerLastsAsLongAsItsUser) {
  const auto process = start({}, "k", "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done; exit 5");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto server = server_pid();
  ASSERT_NE(server, 0);
  EXPECT_TRUE(alive(server));
  EXPECT_NE(::getsid(server), ::getsid(process.pid())) << "the terminal's signals would reach it";
  notes_.write("end");
  const auto result = result_of(process);
  EXPECT_EQ(result.status, exited(5));
  EXPECT_EQ(result.err, "");
  expect_nothing_left(server);
}

TEST_F(Embedded, ServerIsJoinedByOthersAndStoppedByTheLast) {
  const std::string script =
      "echo x > $DIR/$REDISMUTEX_KEY; until [ -e $DIR/end-$REDISMUTEX_KEY ]; do sleep 0.01; done";
  const auto first = start({}, "a", script);
  ASSERT_TRUE(notes_.appears("a"));
  const auto server = server_pid();
  const auto second = start({}, "b", script);
  ASSERT_TRUE(notes_.appears("b"));
  EXPECT_EQ(start({"-n"}, "a", "true").wait(limit), exited(75));
  EXPECT_EQ(start({"-n"}, "b", "true").wait(limit), exited(75));
  notes_.write("end-a");
  EXPECT_EQ(first.wait(limit), exited(0));
  EXPECT_TRUE(alive(server));
  EXPECT_EQ(server_pid(), server);
  notes_.write("end-b");
  EXPECT_EQ(second.wait(limit), exited(0));
  expect_nothing_left(server);
}

// With the tools for looking at locks, as long as it is there.
TEST_F(Embedded, ServerIsLookedAtAndItsLocksAreBroken) {
  const auto inside = start({}, "k", "echo x > $DIR/inside; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto server = server_pid();
  const auto look = [&] { return redismutex({"status", "--url", "embedded:", "k"}, environment_); };
  const auto seen = look();
  EXPECT_EQ(seen.status, exited(0)) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("held by "));
  const auto refused = start({"-n"}, "k", "true");
  EXPECT_EQ(refused.wait(limit), exited(75));
  EXPECT_THAT(refused.stderr_text(), HasSubstr("to break it: redismutex break k --url embedded:"));
  EXPECT_EQ(redismutex({"break", "--url", "embedded:", "--yes", "k"}, environment_).status, exited(0));
  EXPECT_EQ(inside.wait(limit), exited(79));
  expect_nothing_left(server);
  const auto nothing = look();
  EXPECT_EQ(nothing.status, exited(69));
  EXPECT_THAT(nothing.err, HasSubstr("the embedded server does not run"));
}

// It is meant to be short-lived.
TEST_F(Embedded, ServerIsExamined) {
  const auto result = run("\"" REDISMUTEX_COMMAND "\" doctor --url embedded: >&2; true");
  EXPECT_THAT(result.err, AllOf(HasSubstr("ok        persistence: "), Not(HasSubstr("append-only file"))))
      << result.err;
}

TEST_F(Embedded, ServerExcludesThroughItsStartsAndStops) {
  // Some come while the others leave: whoever starts anew must not miss the one who is inside.
  notes_.write("counter", "0\n");
  constexpr auto increments = R"(
    mkdir $DIR/inside || echo together >> $DIR/violations
    read n < $DIR/counter
    echo $((n + 1)) > $DIR/counter
    rmdir $DIR/inside)";
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    const auto one = start({}, "k", increments);
    const auto other = start({}, "k", increments);
    EXPECT_EQ(result_of(one).status, exited(0)) << one.stderr_text();
    EXPECT_EQ(result_of(other).status, exited(0)) << other.stderr_text();
  }
  EXPECT_EQ(notes_.read("counter"), std::to_string(2 * rounds) + "\n");
  EXPECT_EQ(notes_.read("violations"), "");
  EXPECT_TRUE(eventually(limit, nothing_is_left));
}

/// Kills all processes of this run at once: none is left to give the lock back.
void kill_run(const ChildProcess& process) {
  const auto keeper = await_child_named(process.pid(), "lock-keeper");
  process.pause();
  ::kill(keeper, SIGKILL);
  process.kill(SIGKILL);
}

TEST_F(Embedded, ServerEndsAlsoWhenItsUserIsKilledAndTheLockIsKeptForItsLease) {
  const auto process = start({"--expiry", "2"}, "k", "echo $$ > $DIR/inside; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto server = server_pid();
  kill_run(process);
  EXPECT_TRUE(eventually(limit, [&] { return !alive(server); }));
  const auto command = std::stoi(notes_.read("inside"));
  EXPECT_EQ(start({"-n"}, "k", "true").wait(limit), exited(75)) << "the lock went with the server";
  EXPECT_TRUE(eventually(limit, [&] { return !alive(command); }));
  EXPECT_EQ(start({}, "k", "true").wait(limit), exited(0));
  expect_nothing_left(server);
}

TEST_F(Embedded, ServerEndsAlsoAfterFencingAndTokensGoOnRising) {
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    const auto process = start(
        {"--fencing"}, "k", "echo $REDISMUTEX_FENCING_TOKEN; echo $PPID > $DIR/inside; [ -e $DIR/end ] || sleep 0.1");
    ASSERT_TRUE(notes_.appears("inside"));
    const auto server = server_pid();
    const auto result = result_of(process);
    EXPECT_EQ(result.status, exited(0)) << result.err;
    const auto token = std::stoull(result.out);
    EXPECT_GT(token, last);
    last = token;
    EXPECT_TRUE(eventually(limit, [&] { return server == 0 || !alive(server); }));
  }
}

// The file that stays remembers both a lock without a process and a token whose lock is free.
TEST_F(Embedded, ServerFindsAgainWhatTheLastOneHad) {
  const auto first = run("echo $REDISMUTEX_FENCING_TOKEN");
  ASSERT_EQ(first.status, exited(0)) << first.err;
  EXPECT_TRUE(eventually(limit, [] { return server_pid() == 0; }));
  ASSERT_EQ(redismutex({"hold", "--url", "embedded:", "--lease", "1h", "left"}, environment_).status, exited(0));
  EXPECT_TRUE(eventually(limit, [] { return server_pid() == 0; }));
  EXPECT_TRUE(eventually(limit, nothing_is_left));

  const auto process = start({}, "other", "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("inside"));
  RawClient client(directory() + "/redis.sock");
  EXPECT_EQ(client.command({"GET", "redismutex:floor:{k}"}).text + "\n", first.out);
  EXPECT_EQ(client.command({"EXISTS", "left", "redismutex:about:{left}"}).integer, 2);
  EXPECT_EQ(start({"-n"}, "left", "true").wait(limit), exited(75));
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(0));
}

// cron, sudo and a login shell of one user have different environments, and must not have different servers.
TEST_F(Embedded, ServerIsThatOfTheUserWhateverTheEnvironment) {
  const auto process = start({}, "k", "echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("inside"));
  const std::vector<std::vector<std::string>> environments{
      {}, {"XDG_RUNTIME_DIR=/run/user/0"}, {"TMPDIR=/var/tmp", "HOME=/nonexistent"}};
  for (const auto& variables : environments) {
    Program program{.arguments = {"env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin"}};
    program.arguments.insert(program.arguments.end(), variables.begin(), variables.end());
    program.arguments.insert(program.arguments.end(),
                             {REDISMUTEX_COMMAND, "run", "--url", "embedded:", "-n", "k", "true"});
    EXPECT_EQ(ChildProcess(program).wait(limit), exited(75));
  }
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(0));
}

TEST_F(Embedded, ServerInheritsNothing) {
  const ChildProcess process(Program{
      .arguments = {"sh", "-c",
                    "exec 9>$DIR/lock; flock 9; exec " REDISMUTEX_COMMAND
                    " run --url embedded: a sh -c 'echo x > $DIR/inside; until [ -e $DIR/end ]; do sleep 0.01; done'"},
      .environment = environment_});
  ASSERT_TRUE(notes_.appears("inside"));
  const auto user = start({}, "b", "echo x > $DIR/user; until [ -e $DIR/end-user ]; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("user"));
  notes_.write("end");
  EXPECT_EQ(process.wait(limit), exited(0));
  EXPECT_TRUE(alive(server_pid()));
  EXPECT_EQ(ChildProcess(Program{.arguments = {"flock", "-n", notes_.path("lock"), "true"}}).wait(limit), exited(0));
  notes_.write("end-user");
  EXPECT_EQ(user.wait(limit), exited(0));
}

// Its process may be found and ended by hand; then the next user of the server sees to another.
TEST_F(Embedded, MinderThatWasKilledIsReplaced) {
  const auto first = start({}, "a", "echo x > $DIR/a; until [ -e $DIR/end ]; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("a"));
  const auto server = server_pid();
  pid_t minder = 0;
  ASSERT_TRUE(eventually(limit, [&] { return (minder = process_named("embedded-minder")) != 0; }));
  ::kill(minder, SIGKILL);
  const auto second = start({}, "b", "echo x > $DIR/b; until [ -e $DIR/end ]; do sleep 0.01; done");
  ASSERT_TRUE(notes_.appears("b"));
  notes_.write("end");
  EXPECT_EQ(first.wait(limit), exited(0));
  EXPECT_EQ(second.wait(limit), exited(0));
  expect_nothing_left(server);
}

TEST_F(Embedded, ServerThatWasKilledIsReplaced) {
  const auto process = start({}, "k", "echo x > $DIR/inside; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto first = server_pid();
  ::kill(first, SIGKILL);
  ASSERT_TRUE(eventually(limit, [&] { return !alive(first); }));
  EXPECT_EQ(run("exit 3").status, exited(3));
  process.kill(SIGTERM);
  EXPECT_TRUE(process.wait(limit));
}

TEST_F(Embedded, DirectoryIsForTheUserAlone) {
  const auto result = run("stat -c '%a %u' /tmp/redismutex-$(id -u); stat -c %a /tmp/redismutex-$(id -u)/redis.sock");
  EXPECT_EQ(result.out, "700 " + std::to_string(::geteuid()) + "\n700\n");
}

TEST_F(Embedded, DirectoryThatOthersCanEnterIsRefused) {
  std::filesystem::create_directory(directory());
  ::chmod(directory().c_str(), 0750);
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr(directory() + ": is open to other users"));
}

TEST_F(Embedded, DirectoryThatIsALinkIsRefused) {
  std::filesystem::create_symlink(notes_.directory(), directory());
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("not a directory"));
}

TEST_F(Embedded, DirectoryOfAnotherUserIsRefused) {
  std::filesystem::create_directory(directory());
  ::chmod(directory().c_str(), 0700);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(directory().c_str(), 65534, 65534), 0);
  } else {
    ASSERT_EQ(::mount("/proc/sys", directory().c_str(), nullptr, MS_BIND, nullptr), 0);  // it is root's
  }
  const auto result = run("true");
  if (::geteuid() != 0) ::umount2(directory().c_str(), MNT_DETACH);
  EXPECT_EQ(result.status, exited(69));
  // Without root the user "nobody" can not tell: in a user namespace all that is not mapped looks like his.
  EXPECT_THAT(result.err, AnyOf(HasSubstr("belongs to another user"), HasSubstr("is open to other users")));
}

TEST_F(Embedded, MissingServerProgramIsExplained) {
  environment_.push_back("PATH=/nonexistent");
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("install redis-server"));
}

}  // namespace
}  // namespace redismutex::testing
