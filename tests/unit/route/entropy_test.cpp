#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <redismutex/connection.hpp>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "route/environment.hpp"
#include "support/channel.hpp"
#include "support/process.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::Channel;
using redismutex::testing::ChildProcess;
using redismutex::testing::exited;

using Ids = std::vector<std::string>;

Ids random_ids(int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.emplace_back(route::new_owner_id(route::operating_system(), {}).text());
  return ids;
}

bool all_differ(const Ids& ids) { return std::unordered_set<std::string>(ids.begin(), ids.end()).size() == ids.size(); }

// Of a hundred thousand ids no two are the same: no reserve of random bytes is used twice.
TEST(Entropy, IdsDiffer) { EXPECT_TRUE(all_differ(random_ids(100'000))); }

// Threads have reserves of their own, and share no id.
TEST(Entropy, IdsOfThreadsDiffer) {
  constexpr int threads = 8, each = 1000;
  std::vector<Ids> made(threads);
  std::vector<std::thread> running;
  for (Ids& ids : made) {
    running.emplace_back([&ids] { ids = random_ids(each); });
  }
  for (auto& thread : running) thread.join();
  Ids all;
  for (const Ids& ids : made) all.insert(all.end(), ids.begin(), ids.end());
  EXPECT_EQ(all.size(), threads * each);
  EXPECT_TRUE(all_differ(all));
}

// Parent, children and grandchild, forked in the middle of a reserve, never give out the same id.
TEST(Entropy, IdsOfChildrenDiffer) {
  const Connection connection{"redis://localhost"};  // whoever takes a lock has one
  Channel channel;
  const auto send = [&] {
    for (const auto& id : random_ids(3)) channel.send(id);
  };
  send();
  {
    const ChildProcess child{[&] {
      send();
      const ChildProcess grandchild{[&] {
        send();
        return 0;
      }};
      return grandchild.wait(10s) == exited(0) ? 0 : 1;
    }};
    const ChildProcess sibling{[&] {
      send();
      return 0;
    }};
    EXPECT_EQ(child.wait(10s), exited(0));
    EXPECT_EQ(sibling.wait(10s), exited(0));
  }
  send();
  const Ids ids = channel.drain();
  EXPECT_EQ(ids.size(), 15u);
  EXPECT_TRUE(all_differ(ids));
}

// An id tells by whom and when it was asked for.
TEST(Entropy, IdsTellTheirTagAndTheTime) {
  const auto before = operating_system().wall_clock();
  const auto parts = protocol::read_owner_id(new_owner_id(operating_system(), {0x0123456789}).text());
  const auto after = operating_system().wall_clock();
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->tag, protocol::Tag{0x0123456789});
  EXPECT_GE(parts->asked_at, before);
  EXPECT_LE(parts->asked_at, after);
}

TEST(Entropy, WordsDiffer) {
  Ids words;
  for (int i = 0; i < 10'000; ++i) {
    words.push_back(random_word(operating_system(), 10));
    EXPECT_THAT(words.back(), ::testing::MatchesRegex("[0-9A-Za-z]{10}"));
  }
  EXPECT_TRUE(all_differ(words));
}

}  // namespace
}  // namespace redismutex::route
