// Users who may not have the means that wake a waiter: waiting works without, by looking now and then, and a person is told
// once what is missing.

#include <algorithm>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "contender.hpp"
#include "stopwatch.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// All that a lock needs but what wakes a waiter: see README, "Reaching a server".
const std::string rights =
    " on >secret ~* -@all +hello +ping +set +get +del +pexpire +pttl +time +hget +hmget +hset +hdel +hlen +hexists "
    "+evalsha +script|load";
const std::string waking = " &redismutex:* +subscribe +publish";
const std::string tracking = " +client|tracking +client|caching";

constexpr auto delay = 50ms;
constexpr Options looking{.block_time = limit, .delay = delay, .expiry = 2 * limit};

struct QueueRights : ::testing::Test {
  Server server{
      {.users = {"default off", "mute" + rights + " resetchannels" + tracking, "blind" + rights + waking,
                 "nopublish" + rights + " &redismutex:* +subscribe" + tracking, "full" + rights + waking + tracking}}};
  std::mutex log_mutex;
  std::vector<std::string> log;

  Connection connect(const std::string& user) {
    ConnectionOptions options = parse_url("unix://" + user + ":secret@" + server.socket_path());
    options.log = [this](std::string_view message) {
      const std::lock_guard lock{log_mutex};
      log.emplace_back(message);
    };
    return Connection{options};
  }

  /// What was said about `word`.
  std::vector<std::string> said(const std::string& word) {
    const std::lock_guard lock{log_mutex};
    std::vector<std::string> found;
    std::copy_if(log.begin(), log.end(), std::back_inserter(found),
                 [&](const std::string& message) { return message.find(word) != std::string::npos; });
    return found;
  }

  bool becomes(long long waiters) {
    return eventually(limit, [&] { return in_line(server, "key") == waiters; });
  }

  /// Passes the lock between two connections of the user, `times` times.
  void take_turns(const std::string& user, int times) {
    const RedisMutex one{connect(user), looking};
    const RedisMutex two{connect(user), looking};
    auto lock = one.acquire_lock("key");
    for (int i = 0; i < times; ++i) {
      const RedisMutex& next = i % 2 == 0 ? two : one;
      auto waits = std::async(std::launch::async, [&] { return next.acquire_lock("key"); });
      ASSERT_TRUE(becomes(1));
      lock.release();
      lock = waits.get();
      EXPECT_TRUE(eventually(limit, [&] { return server.pttl("key") > 1000; })) << "the full lease";
    }
  }

  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << ::testing::PrintToString(server.keys());
  }
};

TEST_F(QueueRights, WithAllThereIsNothingToSay) {
  take_turns("full", 4);
  EXPECT_THAT(log, ::testing::Each(::testing::Not(HasSubstr("ACL"))));
}

TEST_F(QueueRights, WithoutChannelsWaitersLook) {
  take_turns("mute", 6);
  const auto about = said("&redismutex:*");
  EXPECT_EQ(about.size(), 2) << "once for each connection: " << ::testing::PrintToString(log);
  for (const auto& message : about) EXPECT_THAT(message, AllOf(HasSubstr("+subscribe"), HasSubstr("delay")));
}

// Who may listen but not speak can not hand over by a message. The next one finds out when it looks.
TEST_F(QueueRights, WithoutPublishWaitersLook) { take_turns("nopublish", 6); }

// The lock is deleted by somebody else, which nobody is told: found at the next look.
TEST_F(QueueRights, WithoutTrackingDeletionsAreNoticedLate) {
  take_turns("blind", 4);
  auto lock = RedisMutex{connect("blind"), looking}.acquire_lock("key");
  const Connection other = connect("blind");
  auto next = std::async(std::launch::async, [&] {
    return RedisMutex{other, looking}.acquire_lock("key").owns_lock();
  });
  ASSERT_TRUE(becomes(1));
  server.command({"DEL", "key"});
  EXPECT_TRUE(next.get());
  EXPECT_THROW(lock.release(), MutexUnlockError);
  for (const auto& message : said("client|tracking")) EXPECT_THAT(message, HasSubstr("+client|caching"));
  EXPECT_FALSE(said("client|tracking").empty());
}

// Rights that differ do not hinder each other: one that can be woken and one that can not.
TEST_F(QueueRights, OneCanBeWokenAndOneCanNot) {
  const RedisMutex holder{connect("full"), looking};
  const RedisMutex mute{connect("mute"), looking};
  const RedisMutex full{connect("full"), looking};
  auto lock = holder.acquire_lock("key");
  auto first = std::async(std::launch::async, [&] { return mute.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(becomes(1));
  auto second = std::async(std::launch::async, [&] { return full.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(becomes(2));
  lock.release();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

}  // namespace
}  // namespace redismutex::testing
