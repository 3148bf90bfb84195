// Users who may not have the means that wake a waiter: waiting works without, by looking now and then, and a person is told
// once what is missing.

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "contender.hpp"
#include "sentences.hpp"
#include "stopwatch.hpp"
#include "user_rights.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto delay = 50ms;
constexpr Options looking{.block_time = limit, .delay = delay, .expiry = 2 * limit};

struct QueueRights : ::testing::Test {
  Server server{{.users = {"default off"}}};
  const std::shared_ptr<Sentences> log = std::make_shared<Sentences>();

  QueueRights() {
    const std::string all_keys = std::string{"~*"} + lock_rights;
    const std::string channels = listening(server) + asking(server) + speaking(server);
    add_user(server, "full", all_keys + channels + tracking_rights);
    add_user(server, "blind", all_keys + channels);
    add_user(server, "mute", all_keys + " resetchannels" + tracking_rights);
    add_user(server, "nopublish", all_keys + listening(server) + asking(server) + tracking_rights);
    add_user(server, "unasked", all_keys + listening(server) + speaking(server) + tracking_rights);
    add_user(server, "plain", all_keys + " &redismutex:* +subscribe +publish +pubsub|numsub" + tracking_rights);
  }

  Connection connect(const std::string& user) {
    ConnectionOptions options = parse_url("unix://" + user + ":secret@" + server.socket_path());
    options.log = written_to(log);
    return Connection{options};
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

  /// How long it takes until the next one is inside, who does not look by itself.
  long long hand_over_ms(const std::string& user) {
    const RedisMutex one{connect(user), sleepy};
    const RedisMutex two{connect(user), sleepy};
    auto lock = one.acquire_lock("key");
    auto waits = std::async(std::launch::async, [&] { return two.acquire_lock("key").owns_lock(); });
    EXPECT_TRUE(becomes(1));
    const Stopwatch watch;
    lock.release();
    EXPECT_TRUE(waits.get());
    return watch.elapsed_ms();
  }

  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << ::testing::PrintToString(server.keys());
  }
};

TEST_F(QueueRights, WithAllThereIsNothingToSay) {
  take_turns("full", 4);
  EXPECT_LT(hand_over_ms("full"), 5000);
  EXPECT_THAT(log->all(), ::testing::Each(::testing::Not(HasSubstr("ACL"))));
}

TEST_F(QueueRights, WithoutChannelsWaitersLook) {
  take_turns("mute", 6);
  const auto about = log->about("&redismutex:*");
  EXPECT_EQ(about.size(), 2) << "once for each connection: " << ::testing::PrintToString(log->all());
  for (const auto& message : about)
    EXPECT_THAT(message, AllOf(HasSubstr("+ssubscribe"), HasSubstr("+subscribe"), HasSubstr("delay")));
}

// Where there are sharded channels, and a user may have only plain ones, these wake it as well, and nobody is bothered.
TEST_F(QueueRights, WithPlainChannelsOnly) {
  take_turns("plain", 4);
  EXPECT_LT(hand_over_ms("plain"), 5000);
  EXPECT_THAT(log->all(), ::testing::Each(::testing::Not(HasSubstr("ACL"))));
}

// Whoever may not ask whether anybody listens sends the message all the same.
TEST_F(QueueRights, WithoutAskingWhoListens) {
  take_turns("unasked", 4);
  EXPECT_LT(hand_over_ms("unasked"), 5000);
}

// A right that is given is used from the next connection on.
TEST_F(QueueRights, ChannelsThatAreGivenLater) {
  const Connection one = connect("mute"), two = connect("mute");
  const RedisMutex quick{one, looking}, slow{two, sleepy};
  {
    auto lock = quick.acquire_lock("key");
    EXPECT_FALSE(RedisMutex(two, looking).try_acquire_lock_for("key", 100ms));
  }
  EXPECT_FALSE(log->about("&redismutex:*").empty());
  add_user(server, "mute", listening(server) + asking(server) + speaking(server));
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  auto lock = quick.acquire_lock("key");
  auto waits = std::async(std::launch::async, [&] { return slow.acquire_lock("key").owns_lock(); });
  ASSERT_TRUE(becomes(1));
  EXPECT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  const Stopwatch watch;
  lock.release();
  EXPECT_TRUE(waits.get());
  EXPECT_LT(watch.elapsed_ms(), 5000);
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
  for (const auto& message : log->about("client|tracking")) EXPECT_THAT(message, HasSubstr("+client|caching"));
  EXPECT_FALSE(log->about("client|tracking").empty());
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
