// `redismutex status` tells what stands at a key, for people and for programs, and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "on_call.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class StatusTest : public ::testing::Test, protected OnCall {};

TEST_F(StatusTest, ShowsWhoHoldsAndWhoWaits) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  const auto result = run(with_processes({"status", "k"}));
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("k               held by "), HasSubstr("user default"), HasSubstr("lease: "),
                    HasSubstr("id " + server.get("k").value_or("none")), HasSubstr("on unix://"), HasSubstr("primary"),
                    HasSubstr("1 waits for it"), HasSubstr("connected"), Not(HasSubstr("\x1b"))));
}

TEST_F(StatusTest, SaysWhatElseStandsAtAKey) {
  server.command({"SET", "theirs", "an\nother", "PX", "60000"});
  server.command({"SET", "for-ever", "x"});
  server.command({"RPUSH", "list", "x"});
  const auto result = run({"status", "free", "theirs", "for-ever", "list", "[a,b]", "--color=always"});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("free, on "), HasSubstr("foreign"), HasSubstr("value an\\nother"),
                                HasSubstr("\x1b[31mno TTL: will never end by itself\x1b[0m"),
                                HasSubstr("something of the type list is stored there"), HasSubstr("[a,b]")));
}

TEST_F(StatusTest, QuietlyAnswersByItsStatus) {
  server.command({"SET", "taken", "x", "PX", "60000"});
  for (const auto& [keys, status] :
       {std::pair{std::vector<std::string>{"taken"}, 0}, std::pair{std::vector<std::string>{"free"}, 1},
        std::pair{std::vector<std::string>{"taken", "free"}, 1}}) {
    std::vector<std::string> words{"status", "-q"};
    words.insert(words.end(), keys.begin(), keys.end());
    const auto result = run(words);
    EXPECT_EQ(result.status, exited(status));
    EXPECT_EQ(result.out + result.err, "");
  }
}

TEST_F(StatusTest, IsJsonForPrograms) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  const auto seen = json::parse(run(with_processes({"status", "--json", "k"})).out);
  EXPECT_EQ(seen.at("schema"), 1);
  EXPECT_EQ(seen.at("key"), "k");
  EXPECT_EQ(seen.at("state"), "held");
  EXPECT_EQ(seen.at("holder").at("id"), server.get("k").value_or("none"));
  EXPECT_EQ(seen.at("holder").at("connected"), true);
  EXPECT_GT(seen.at("holder").at("pid"), 0);
  EXPECT_THAT(seen.at("holder").at("since").get<std::string>(), MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9]{3}Z"));
  EXPECT_GT(seen.at("lease_seconds"), 0);
  EXPECT_EQ(seen.at("waiting"), 1);
  EXPECT_EQ(seen.at("waiters").at(0).at("position"), 1);
  EXPECT_EQ(seen.at("server").at("role"), "primary");

  const auto strange = json::parse(run({"status", "--json", "\xff\n\u00e9"}).out);
  EXPECT_EQ(strange.at("key"), "\\xff\n\u00e9");
  EXPECT_EQ(strange.at("key_base64"), "/wrDqQ==");
  EXPECT_EQ(strange.at("state"), "free");
  EXPECT_EQ(strange.at("holder"), nullptr);
}

// All of a long line, in pages.
TEST_F(StatusTest, ShowsAsManyWaitersAsAreAskedFor) {
  const auto time = server.command({"TIME"}).elements;
  const auto now = std::stoll(time.at(0).text) * 1'000'000;
  for (int i = 0; i < 250; ++i) {
    const std::string id = "00000a12-3401-4234-9234-567890abc" + std::to_string(100 + i);
    server.command({"ZADD", "redismutex:{k}", std::to_string(now + i), id + "0-",
                    std::to_string(4'000'000'000'000'000 + now + 60'000'000), id});
  }
  const auto count = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"status", "k", "--json"});
    return json::parse(run(words).out).at("waiters").size();
  };
  EXPECT_EQ(count({}), 10u);
  EXPECT_EQ(count({"--waiters", "0"}), 0u);
  EXPECT_EQ(count({"--waiters", "150"}), 150u);
  EXPECT_EQ(count({"--waiters", "all"}), 250u);
  EXPECT_THAT(run({"status", "k"}).out, HasSubstr("... 240 more (--waiters all)"));
}

// Not on a terminal: one line for each change, and none where nothing changes.
TEST_F(StatusTest, WatchPrintsALineForEachChange) {
  const auto watch = start({"status", "--watch=0.1", "k"});
  const auto lines = [&] { return std::ranges::count(watch.stdout_text(), '\n'); };
  ASSERT_TRUE(eventually(limit, [&] { return lines() == 1; }));
  EXPECT_THAT(watch.stdout_text(), HasSubstr("Z k free, nobody waits\n"));
  const auto inside = holder("k");
  EXPECT_TRUE(eventually(limit, [&] { return lines() == 2; }));
  EXPECT_THAT(watch.stdout_text(), HasSubstr("Z k held by "));
  const auto before = server.command_calls()["evalsha_ro"] + server.command_calls()["evalsha"];
  const auto looks = [&] { return server.command_calls()["evalsha_ro"] + server.command_calls()["evalsha"]; };
  EXPECT_TRUE(eventually(limit, [&] { return looks() > before + 3; }));
  EXPECT_EQ(lines(), 2);
  watch.kill(SIGINT);
  EXPECT_EQ(watch.wait(limit), killed_by(SIGINT));
}

TEST_F(StatusTest, SaysWhyItCanNotLook) {
  EXPECT_EQ(run({"status"}).status, exited(64));
  EXPECT_EQ(run({"status", "--waiters", "some", "k"}).status, exited(64));
  EXPECT_EQ(run({"status", ""}).status, exited(64));
  EXPECT_EQ(run({"status", "-q", "--watch", "k"}).status, exited(64));
  const auto nowhere = redismutex({"status", "k"}, {"REDIS_URL=unix:///nowhere/at/all"});
  EXPECT_EQ(nowhere.status, exited(69));
  EXPECT_THAT(nowhere.err, HasSubstr("that server is the one in $REDIS_URL; --url names another"));
  EXPECT_EQ(redismutex({"status", "k"}, {"REDIS_URL=unix://me:wrong@" + server.socket_path()}).status, exited(77));
  server.command({"ACL", "SETUSER", "poor", "on", ">secret", "+hello", "+ping"});
  const auto poor = redismutex({"status", "k"}, {"REDIS_URL=unix://poor:secret@" + server.socket_path()});
  EXPECT_EQ(poor.status, exited(70));
  EXPECT_THAT(poor.err, HasSubstr("lacks a right"));
}

// Colours are for terminals that have some, and for people who want them.
TEST_F(StatusTest, IsColouredWhereThatIsWanted) {
  const auto is_coloured = [&](std::vector<std::string> environment, std::vector<std::string> words = {}) {
    environment.push_back("REDIS_URL=" + server.url());
    words.insert(words.begin(), {"status", "k"});
    return redismutex(words, environment).out.find('\x1b') != std::string::npos;
  };
  EXPECT_FALSE(is_coloured({"TERM=xterm"}));
  EXPECT_TRUE(is_coloured({"CLICOLOR_FORCE=1"}));
  EXPECT_FALSE(is_coloured({"CLICOLOR_FORCE=1", "NO_COLOR=1"}));
  EXPECT_FALSE(is_coloured({"CLICOLOR_FORCE=1"}, {"--color=never"}));
  EXPECT_TRUE(is_coloured({}, {"--color=always"}));
}

}  // namespace
}  // namespace redismutex::testing
