// What `redismutex status --prometheus` writes is what Prometheus reads; report_test.cpp has the reports of runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "exposition.hpp"
#include "on_call.hpp"

namespace redismutex::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class MetricsTest : public ::testing::Test, protected OnCall {};

TEST_F(MetricsTest, OfStatusAreGaugesOfEachKey) {
  const auto inside = holder("k");
  const auto next = waiter("k");
  server.command({"SET", "for ever", "x"});
  const auto result = run({"status", "--prometheus", "k", "free", "for ever", "k"});
  EXPECT_EQ(result.status, exited(0));
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(read_exposition(result.out),
              AllOf(HasSubstr("TYPE redismutex_lock_held gauge\n"
                              "redismutex_lock_held{lock=for ever} 1.0\n"
                              "redismutex_lock_held{lock=free} 0.0\n"
                              "redismutex_lock_held{lock=k} 1.0\n"),
                    HasSubstr("TYPE redismutex_lock_waiting gauge\n"
                              "redismutex_lock_waiting{lock=for ever} 0.0\n"
                              "redismutex_lock_waiting{lock=free} 0.0\n"
                              "redismutex_lock_waiting{lock=k} 1.0\n"),
                    ContainsRegex("TYPE redismutex_lock_lease_seconds gauge\n"
                                  "redismutex_lock_lease_seconds.lock=for ever. inf\n"
                                  "redismutex_lock_lease_seconds.lock=k. [0-9]+\\.[0-9]+\n"),
                    ContainsRegex("TYPE redismutex_lock_held_since_timestamp_seconds gauge\n"
                                  "redismutex_lock_held_since_timestamp_seconds.lock=k. 1[0-9]+\\.[0-9]+\n")));
}

// Any bytes are a key. What is printed stays one line each, and is read as one label.
TEST_F(MetricsTest, OfStatusTakeEachKey) {
  const auto seen = read_exposition(run({"status", "--prometheus", "a\"b", "a\nb", "a b\xc3\xa9", "\xff", "{,}="}).out);
  EXPECT_THAT(seen, AllOf(HasSubstr("redismutex_lock_held{lock=a\"b} 0.0\n"), HasSubstr("{lock=a b\xc3\xa9} 0.0\n"),
                          HasSubstr("{lock={,}=} 0.0\n"), HasSubstr("{lock=a\\nb} 0.0\n"),
                          HasSubstr("{lock=\\xff} 0.0\n"), Not(HasSubstr("Error"))));
  const auto same = run({"status", "--prometheus", "\xff", "\\xff"});
  EXPECT_EQ(same.status, exited(64));
  EXPECT_EQ(same.out, "");
  EXPECT_THAT(same.err, HasSubstr("two keys are both shown as"));
}

TEST_F(MetricsTest, OfStatusAreFewAndAlone) {
  std::vector<std::string> words{"status", "--prometheus"};
  for (int i = 0; i < 100; ++i) words.push_back("k" + std::to_string(i));
  EXPECT_EQ(run(words).status, exited(0));
  words.emplace_back("k0");
  EXPECT_EQ(run(words).status, exited(0)) << "one of them twice";
  words.emplace_back("one more");
  const auto many = run(words);
  EXPECT_EQ(many.status, exited(64));
  EXPECT_THAT(many.err, HasSubstr("101 keys, at most 100"));
  for (const std::string other : {"-q", "--json", "--watch"}) {
    EXPECT_EQ(run({"status", "--prometheus", other, "k"}).status, exited(64)) << other;
  }
  const auto nowhere = redismutex({"status", "--prometheus", "k"}, {"REDIS_URL=unix:///nowhere/at/all"});
  EXPECT_EQ(nowhere.status, exited(69));
  EXPECT_EQ(nowhere.out, "");
}

// It needs no rights but those to look at keys.
TEST_F(MetricsTest, OfStatusNeedFewRights) {
  server.command({"ACL", "SETUSER", "exporter", "on", ">secret", "-@all", "+hello", "+select", "+ping", "+script|load",
                  "+time", "+type", "+pttl", "+strlen", "+getrange", "+exists", "+zcount", "~*", "+evalsha"});
  const auto result =
      redismutex({"status", "--prometheus", "k"}, {"REDIS_URL=unix://exporter:secret@" + server.socket_path()});
  EXPECT_EQ(result.status, exited(0)) << result.err;
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace redismutex::testing
