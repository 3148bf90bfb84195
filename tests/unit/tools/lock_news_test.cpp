// When the command takes its servers for away.

#include "redismutex/lock_news.hpp"

#include <gtest/gtest.h>

#include "support/eventually.hpp"
#include "support/limits.hpp"

namespace redismutex::cli {
namespace {

TEST(LockNews, OneServerIsThereOrAway) {
  LockNews news{std::vector<ConnectionOptions>(1)};
  EXPECT_TRUE(news.absence()) << "until it is reached";
  news.connected({.server = "a", .again = false});
  EXPECT_FALSE(news.absence());
  news.disconnected({.server = "a", .reason = "closed"});
  ASSERT_TRUE(news.absence());
  EXPECT_EQ(news.absence()->reason, "closed");
}

// Which of its servers is needed, the command does not know.
TEST(LockNews, AClusterIsAwayWithAnyOfItsServers) {
  LockNews news{std::vector<ConnectionOptions>(1)};
  news.connected({.server = "a", .again = false});
  news.connected({.server = "b", .again = false});
  news.connect_failed({.server = "a", .reason = "refused"});
  EXPECT_TRUE(news.absence());
}

TEST(LockNews, AQuorumIsAwayWithoutAMajority) {
  LockNews news{std::vector<ConnectionOptions>(3)};
  news.connected({.server = "a", .again = false});
  EXPECT_TRUE(news.absence());
  news.connected({.server = "b", .again = false});
  EXPECT_FALSE(news.absence());
  news.connect_failed({.server = "c", .reason = "refused"});
  EXPECT_FALSE(news.absence());
  news.disconnected({.server = "a", .reason = "closed"});
  ASSERT_TRUE(news.absence());
  EXPECT_EQ(news.absence()->reason, "a: closed");
}

// A replica lets one log in, and refuses the first request: then one leaves it, and tries again.
TEST(LockNews, OneThatComesBackAndGoesAtOnceWasAwayAllTheTime) {
  LockNews news{std::vector<ConnectionOptions>(1)};
  const auto since = news.absence()->since;
  for (int i = 0; i < 3; ++i) {
    news.connected({.server = "a", .again = i > 0});
    EXPECT_FALSE(news.is_settled());
    news.disconnected(
        {.server = "a",
         .reason = "READONLY You can't write against a read only replica. script: 0123, on @user_script:9."});
    ASSERT_TRUE(news.absence());
    EXPECT_EQ(news.absence()->since, since);
    EXPECT_EQ(news.absence()->reason, "it is a replica, which takes no locks");
  }
}

TEST(LockNews, OneThatWasThereForLongIsAwayFromWhenItGoes) {
  LockNews news{std::vector<ConnectionOptions>(1)};
  news.connected({.server = "a", .again = false});
  ASSERT_TRUE(testing::eventually(testing::limit, [&] { return news.is_settled(); }));
  const auto before = BootClock::now();
  news.disconnected({.server = "a", .reason = "MISCONF Errors writing to disk. script: 0123, on @user_script:9."});
  ASSERT_TRUE(news.absence());
  EXPECT_GE(news.absence()->since, before);
  EXPECT_EQ(news.absence()->reason, "MISCONF Errors writing to disk.");
}

}  // namespace
}  // namespace redismutex::cli
