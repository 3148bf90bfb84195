// The command where sentinels name the server: COMMAND goes on through a failover, and so do those who wait; and who is on call sees the
// server that is the master now.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "support/sentinel_set.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Longer than a failover takes on a busy machine.
constexpr auto long_expiry = 20s;

struct SentinelCommand : ::testing::Test {
  /// Holds the lock until `release` has something in it.
  ChildProcess hold(const std::string& key) const {
    return start_redismutex({"run", "--url", set.url(), "--expiry", std::to_string(long_expiry.count()), key, "--",
                             "sh", "-c", "echo x > $DIR/inside; while [ ! -s $DIR/release ]; do sleep 0.05; done"},
                            {notes.variable()});
  }

  SentinelSet set;
  Notes notes;
};

TEST_F(SentinelCommand, RunsThroughAFailover) {
  const auto holder = hold("key");
  ASSERT_TRUE(notes.appears("inside")) << holder.stderr_text();
  Server& former = set.master();
  const auto waiter = start_redismutex({"run", "--url", set.url(), "-w", "60", "key", "sh", "-c", "echo x > $DIR/next"},
                                       {notes.variable()});
  ASSERT_TRUE(eventually(limit, [&] { return former.command({"ZCARD", "redismutex:{key}"}).integer > 0; }));
  set.until_replicated();
  former.kill();
  Server& next = set.master_after(former);
  // It is renewed there, after a third of the lease.
  ASSERT_TRUE(eventually(limit, [&] { return next.pttl("key") > milliseconds{long_expiry - 1s}.count(); }))
      << holder.stderr_text();
  ASSERT_TRUE(eventually(limit, [&] { return next.command({"ZCARD", "redismutex:{key}"}).integer > 0; }));
  EXPECT_TRUE(holder.running()) << holder.stderr_text();
  notes.write("release");
  EXPECT_EQ(result_of(holder).status, exited(0)) << holder.stderr_text();
  EXPECT_TRUE(notes.appears("next")) << waiter.stderr_text();
  EXPECT_EQ(result_of(waiter).status, exited(0)) << waiter.stderr_text();
}

TEST_F(SentinelCommand, ShowsTheMaster) {
  const auto holder = hold("key");
  ASSERT_TRUE(notes.appears("inside")) << holder.stderr_text();
  const auto status = redismutex({"status", "--url", set.url(), "key"});
  EXPECT_EQ(status.status, exited(0)) << status.err;
  EXPECT_THAT(status.out, AllOf(HasSubstr("held by "), HasSubstr("on " + set.url()), HasSubstr("primary")));
  const auto list = redismutex({"ls", "--url", set.url()});
  EXPECT_EQ(list.status, exited(0)) << list.err;
  EXPECT_THAT(list.out, HasSubstr("key"));
  // Two masters for ten seconds after a failover: what ends that is not set.
  const auto doctor = redismutex({"doctor", "--url", set.url()});
  EXPECT_THAT(doctor.out, HasSubstr("min-replicas-to-write")) << doctor.err;
  notes.write("release");
  EXPECT_EQ(result_of(holder).status, exited(0)) << holder.stderr_text();
}

}  // namespace
}  // namespace redismutex::testing
