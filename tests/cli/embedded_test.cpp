// `--url embedded:` makes a server of the user's own, for as long as anyone uses it, in a place that nobody else can
// enter; and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "command.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Embedded : public ::testing::Test {
 protected:
  ~Embedded() override {
    // Should a test have failed: its server is a daemon and would stay.
    if (const auto pid = server_pid()) ::kill(pid, SIGKILL);
  }

  ChildProcess start(const std::vector<std::string>& options, const std::string& key, const std::string& script) {
    std::vector<std::string> arguments{"run", "--url", "embedded:"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {key, "/bin/sh", "-c", script});
    return start_redismutex(arguments, environment_);
  }

  Result run(const std::string& script) { return result_of(start({}, "k", script)); }

  pid_t server_pid() const {
    const auto text = runtime_.read("redismutex/redis.pid");
    return text.empty() ? 0 : std::stoi(text);
  }

  std::string directory() const { return runtime_.path("redismutex"); }

  void expect_nothing_left(pid_t server) const {
    EXPECT_TRUE(eventually(limit, [&] { return !alive(server); }));
    EXPECT_FALSE(std::filesystem::exists(directory()));
  }

  Notes runtime_;
  Notes notes_;
  std::vector<std::string> environment_{
      "XDG_RUNTIME_DIR=" + std::filesystem::path(runtime_.path("x")).parent_path().string(), notes_.variable()};
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
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(Embedded, ServerOutlivesAKilledUserAndIsStoppedByTheNext) {
  const auto process = start({"--expiry", "1"}, "k", "echo x > $DIR/inside; exec sleep 1000");
  ASSERT_TRUE(notes_.appears("inside"));
  const auto server = server_pid();
  process.kill(SIGKILL);
  ASSERT_TRUE(process.wait(limit));
  EXPECT_TRUE(alive(server));
  EXPECT_EQ(start({"-n"}, "k", "true").wait(limit), exited(75));
  EXPECT_TRUE(alive(server)) << "it was stopped while it kept a lock";
  EXPECT_EQ(start({}, "k", "true").wait(limit), exited(0));
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
  const auto result =
      run("stat -c '%a %u' $XDG_RUNTIME_DIR/redismutex; stat -c %a $XDG_RUNTIME_DIR/redismutex/redis.sock");
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
  std::filesystem::create_symlink(notes_.path(""), directory());
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("not a directory"));
}

TEST_F(Embedded, DirectoryOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give directories away";
  std::filesystem::create_directory(directory());
  ::chmod(directory().c_str(), 0700);
  ASSERT_EQ(::chown(directory().c_str(), 65534, 65534), 0);
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("belongs to another user"));
}

TEST_F(Embedded, DirectoryIsInTmpWithoutARuntimeDirectory) {
  environment_.front() = "XDG_RUNTIME_DIR=";
  const auto result = result_of(start({}, "redismutex-cli-test", "stat -c %a /tmp/redismutex-$(id -u)/redis.sock"));
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_EQ(result.out, "700\n");
}

TEST_F(Embedded, PathTooLongForASocketIsRefused) {
  environment_.front() = "XDG_RUNTIME_DIR=/tmp/" + std::string(120, 'x');
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("too long"));
}

TEST_F(Embedded, MissingServerProgramIsExplained) {
  environment_.push_back("PATH=/nonexistent");
  const auto result = run("true");
  EXPECT_EQ(result.status, exited(69));
  EXPECT_THAT(result.err, HasSubstr("install redis-server"));
}

}  // namespace
}  // namespace redismutex::testing
