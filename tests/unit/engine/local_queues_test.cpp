#include "engine/local_queues.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "engine/session.hpp"
#include "engine/tenure.hpp"
#include "support/eventually.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using protocol::Key;
using redismutex::testing::eventually;
using Kind = LocalQueues::Turn::Kind;
using Ticket = LocalQueues::Ticket;
using Turn = LocalQueues::Turn;

constexpr auto limit = 10s;  // for what must happen

net::Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }

/// A thread that enters a line; it is in it when the constructor returns.
class Waiter {
 public:
  explicit Waiter(LocalQueues& queues, const Key& key, net::Deadline deadline = in(10 * limit))
      : turn_{std::async(std::launch::async, [&queues, key, deadline, this] {
          return queues.enter(key, deadline, stop_.get_token(), [this] { waits_ = true; });
        })} {
    EXPECT_TRUE(eventually(limit, [this] { return waits_ || has_turn(); }));
  }

  void stop() { stop_.request_stop(); }
  bool has_turn() const { return turn_.wait_for(0s) == std::future_status::ready; }
  Turn turn() {
    EXPECT_EQ(turn_.wait_for(limit), std::future_status::ready);
    return turn_.get();
  }

 private:
  std::stop_source stop_;
  std::atomic<bool> waits_ = false;
  std::future<Turn> turn_;
};

class LocalQueuesTest : public ::testing::Test {
 protected:
  /// There is no server behind it, and none is needed.
  Session session{ConnectionOptions{.unix_socket = "/nonexistent/redis.sock", .connect_timeout = 1ms}};
  LocalQueues& queues = session.local_queues();
  const Key key{"key"};

  Turn enter(const Key& which) {
    return queues.enter(which, in(limit), {}, [] { ADD_FAILURE() << "somebody is there"; });
  }

  std::unique_ptr<Lease> lease(std::uint64_t token = 0, std::chrono::milliseconds expiry = 10s) {
    return std::make_unique<Lease>(session, key, new_owner_id({}), expiry,
                                   protocol::Acquire::Held{.valid_until = now() + expiry, .token = token});
  }

  std::shared_ptr<Tenure> be_inside(Ticket ticket, std::chrono::milliseconds expiry) {
    auto tenure = std::make_shared<Tenure>(session, lease(0, expiry), ticket);
    LocalQueues::note_inside(ticket, tenure);
    return tenure;
  }

  /// Whether nobody is in line: then whoever comes is the first at once.
  bool is_empty() {
    const Turn turn = queues.enter(key, in(0ms), {}, [] {});
    if (turn.kind == Kind::first) LocalQueues::leave(turn.ticket);
    return turn.kind == Kind::first;
  }
};

// ---- order ----------------------------------------------------------------------------------------------------------

TEST_F(LocalQueuesTest, TheFirstOneGoesToTheServerWithoutWaiting) {
  const Turn turn = enter(key);
  EXPECT_EQ(turn.kind, Kind::first);
  EXPECT_FALSE(LocalQueues::has_next(turn.ticket));
  LocalQueues::leave(turn.ticket);
  EXPECT_TRUE(is_empty());
}

TEST_F(LocalQueuesTest, TheOthersFollowInTheOrderOfTheirArrival) {
  Turn inside = enter(key);
  Waiter a(queues, key), b(queues, key), c(queues, key);
  for (Waiter* next : {&a, &b, &c}) {
    EXPECT_FALSE(next->has_turn());
    EXPECT_TRUE(LocalQueues::has_next(inside.ticket));
    LocalQueues::leave(inside.ticket);
    inside = next->turn();
    EXPECT_EQ(inside.kind, Kind::first) << "the lease was given back, so the next one goes to the server";
  }
  LocalQueues::leave(inside.ticket);
  EXPECT_TRUE(is_empty());
}

TEST_F(LocalQueuesTest, KeysHaveLinesOfTheirOwn) {
  std::vector<std::pair<Key, Ticket>> inside;
  for (int i = 0; i < 100; ++i) {  // more than there are shards
    const Key one{"key " + std::to_string(i)};
    inside.emplace_back(one, enter(one).ticket);
  }
  for (const auto& [one, ticket] : inside) LocalQueues::leave(ticket);
}

// ---- passing a lease on ---------------------------------------------------------------------------------------------

TEST_F(LocalQueuesTest, ALeaseGoesToTheNextOne) {
  Turn inside = enter(key);
  Waiter next(queues, key);
  auto passed = lease();
  const Lease* const which = passed.get();
  EXPECT_EQ(LocalQueues::pass(inside.ticket, std::move(passed)), nullptr);
  const Turn turn = next.turn();
  EXPECT_EQ(turn.kind, Kind::handed);
  EXPECT_EQ(turn.lease.get(), which);
  EXPECT_NE(turn.ticket, inside.ticket);
  LocalQueues::leave(turn.ticket);
  EXPECT_TRUE(is_empty());
}

// The token is that of the thread inside, so the next one has the next.
TEST_F(LocalQueuesTest, TheFencingTokenRisesWithEachPass) {
  Turn inside = enter(key);
  auto passed = lease(41);
  for (std::uint64_t token = 42; token < 45; ++token) {
    Waiter next(queues, key);
    ASSERT_EQ(LocalQueues::pass(inside.ticket, std::move(passed)), nullptr);
    inside = next.turn();
    passed = std::move(inside.lease);
    EXPECT_EQ(passed->token(), token);
  }
  LocalQueues::leave(inside.ticket);
}

TEST_F(LocalQueuesTest, ALeaseThatNobodyWantsComesBack) {
  const Turn inside = enter(key);
  EXPECT_NE(LocalQueues::pass(inside.ticket, lease()), nullptr);
  LocalQueues::leave(inside.ticket);
  EXPECT_NE(LocalQueues::pass(inside.ticket, lease()), nullptr) << "whoever has left is no longer the first";
}

// ---- giving up ------------------------------------------------------------------------------------------------------

TEST_F(LocalQueuesTest, AWaiterGivesUpAtItsDeadline) {
  const Turn inside = enter(key);
  const auto deadline = in(30ms);
  Waiter impatient(queues, key, deadline);
  Waiter next(queues, key);
  EXPECT_EQ(impatient.turn().kind, Kind::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
  LocalQueues::leave(inside.ticket);
  const Turn turn = next.turn();
  EXPECT_EQ(turn.kind, Kind::first);
  LocalQueues::leave(turn.ticket);
  EXPECT_TRUE(is_empty());
}

TEST_F(LocalQueuesTest, AWaiterIsStopped) {
  const Turn inside = enter(key);
  Waiter first(queues, key), second(queues, key);
  second.stop();
  EXPECT_EQ(second.turn().kind, Kind::stopped);
  EXPECT_FALSE(first.has_turn());
  first.stop();
  EXPECT_EQ(first.turn().kind, Kind::stopped);
  EXPECT_FALSE(LocalQueues::has_next(inside.ticket));
  LocalQueues::leave(inside.ticket);
  EXPECT_TRUE(is_empty());
}

// Whoever was stopped before it came is not there at all, unless nobody else is.
TEST_F(LocalQueuesTest, StoppedBefore) {
  std::stop_source stop;
  stop.request_stop();
  const Turn inside = enter(key);
  EXPECT_EQ(queues.enter(key, in(limit), stop.get_token(), [] {}).kind, Kind::stopped);
  LocalQueues::leave(inside.ticket);
}

// ---- one who never comes back ---------------------------------------------------------------------------------------

// When the lease of the one inside ends, the next one goes to the server, and what the old one says then counts no more.
TEST_F(LocalQueuesTest, TheNextOneGoesWhenTheLeaseEnds) {
  const Turn lost = enter(key);
  Waiter next(queues, key);
  const auto tenure = be_inside(lost.ticket, 50ms);
  const Instant until = tenure->valid_until();
  const Turn turn = next.turn();
  EXPECT_GE(now(), until);
  EXPECT_EQ(turn.kind, Kind::first);
  EXPECT_FALSE(LocalQueues::has_next(lost.ticket));
  LocalQueues::note_until(lost.ticket, now() - 1s);
  LocalQueues::leave(lost.ticket);
  EXPECT_FALSE(is_empty()) << "the new one is still there";
  Waiter third(queues, key);
  EXPECT_NE(LocalQueues::pass(lost.ticket, lease()), nullptr);
  LocalQueues::leave(turn.ticket);
  LocalQueues::leave(third.turn().ticket);
}

TEST_F(LocalQueuesTest, ALeaseThatStartsAnewIsWaitedFor) {
  const Turn inside = enter(key);
  Waiter next(queues, key);
  const auto tenure = be_inside(inside.ticket, 50ms);
  const Instant later = tenure->valid_until() + 50ms;
  LocalQueues::note_until(inside.ticket, later);
  LocalQueues::leave(next.turn().ticket);
  EXPECT_GE(now(), later);
}

TEST_F(LocalQueuesTest, ALeaseThatWasLostIsNotWaitedFor) {
  const Turn inside = enter(key);
  Waiter next(queues, key);
  const auto tenure = be_inside(inside.ticket, 10 * limit);
  LocalQueues::note_until(inside.ticket, Instant{});
  LocalQueues::leave(next.turn().ticket);
}

// The one behind the one who gave up takes over from it.
TEST_F(LocalQueuesTest, TheEndIsWatchedByWhoeverIsNext) {
  const Turn inside = enter(key);
  Waiter first(queues, key), second(queues, key);
  const auto tenure = be_inside(inside.ticket, 100ms);
  first.stop();
  EXPECT_EQ(first.turn().kind, Kind::stopped);
  LocalQueues::leave(second.turn().ticket);
  EXPECT_GE(now(), tenure->valid_until());
}

// After a while the next one has the server watch the key of the one inside, because a stranger may delete it.
TEST_F(LocalQueuesTest, TheKeyOfTheOneInsideIsWatched) {
  const Turn inside = enter(key);
  const auto tenure = be_inside(inside.ticket, 10 * limit);
  Waiter next(queues, key);
  EXPECT_TRUE(eventually(limit, [&] { return tenure->extension_tracking() == protocol::Tracking::on; }));
  EXPECT_FALSE(next.has_turn());
  tenure->end();
  LocalQueues::leave(inside.ticket);
  LocalQueues::leave(next.turn().ticket);
}

// ---- many -----------------------------------------------------------------------------------------------------------

// Threads that come, wait, give up, pass leases on and leave, all at random: never two inside, and nobody is forgotten.
TEST_F(LocalQueuesTest, ManyThreadsAtRandom) {
  constexpr unsigned threads = 8;
  constexpr int visits = 300;
  std::atomic<int> inside = 0, most = 0, turns = 0;
  const auto work = [&](unsigned seed) {
    std::minstd_rand random{seed};
    for (int i = 0; i < visits; ++i) {
      std::stop_source stop;
      if (random() % 8 == 0) stop.request_stop();
      const auto patience =
          random() % 4 == 0 ? std::chrono::milliseconds{random() % 2} : std::chrono::milliseconds{limit};
      Turn turn = queues.enter(key, in(patience), stop.get_token(), [] {});
      if (turn.kind == Kind::timed_out || turn.kind == Kind::stopped) continue;
      most = std::max<int>(most, ++inside);
      ++turns;
      std::this_thread::yield();
      --inside;
      if (random() % 2 == 0) {
        if (!turn.lease) turn.lease = lease();
        if (!LocalQueues::pass(turn.ticket, std::move(turn.lease))) continue;
      }
      LocalQueues::leave(turn.ticket);
    }
  };
  {
    std::vector<std::jthread> all;
    for (unsigned i = 0; i < threads; ++i) all.emplace_back(work, i + 1);
  }
  EXPECT_EQ(most, 1);
  EXPECT_GT(turns, visits);
  EXPECT_TRUE(is_empty());
}

}  // namespace
}  // namespace redismutex::engine
