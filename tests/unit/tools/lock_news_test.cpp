// When the command takes its servers for away.

#include "redismutex/lock_news.hpp"

#include <gtest/gtest.h>

namespace redismutex::cli {
namespace {

TEST(LockNews, OneServerIsThereOrAway) {
  LockNews news{1};
  EXPECT_TRUE(news.absence()) << "until it is reached";
  news.connected({.server = "a", .again = false});
  EXPECT_FALSE(news.absence());
  news.disconnected({.server = "a", .reason = "closed"});
  ASSERT_TRUE(news.absence());
  EXPECT_EQ(news.absence()->reason, "closed");
}

// Which of its servers is needed, the command does not know.
TEST(LockNews, AClusterIsAwayWithAnyOfItsServers) {
  LockNews news{1};
  news.connected({.server = "a", .again = false});
  news.connected({.server = "b", .again = false});
  news.connect_failed({.server = "a", .reason = "refused"});
  EXPECT_TRUE(news.absence());
}

TEST(LockNews, AQuorumIsAwayWithoutAMajority) {
  LockNews news{3};
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

}  // namespace
}  // namespace redismutex::cli
