#include "engine/wake_ups.hpp"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "route/environment.hpp"
#include "support/allocations.hpp"
#include "support/process.hpp"

namespace redismutex::engine {
namespace {

using route::now;
using namespace std::chrono_literals;
using protocol::Key;
using protocol::OwnerId;
using redismutex::testing::ChildProcess;
using redismutex::testing::exited;
using Place = protocol::Refreshed;

/// Counts how often it is woken.
struct CountingWaker final : route::Waker {
  void wake() noexcept override { ++times; }
  int times = 0;
};

/// A waiter with an id of its own.
struct Waiter {
  Waiter(WakeUps& wake_ups, Key which) : key{std::move(which)}, inbox{wake_ups, key, id, waker} { inbox.open(); }

  const Key key;
  const OwnerId id = route::new_owner_id(route::operating_system(), {});
  CountingWaker waker;
  Inbox inbox;
};

std::string message_for(const OwnerId& id, const std::string& rest = "1000 1700000000 5 7") {
  return std::string{id.text()} + ' ' + rest;
}

class WakeUpsTest : public ::testing::Test {
 protected:
  WakeUps wake_ups;
  const Key key{"key"};
};

// ---- what comes -----------------------------------------------------------------------------------------------------

TEST_F(WakeUpsTest, AGrantLiesInTheInboxUntilItIsTaken) {
  Waiter waiter{wake_ups, key};
  EXPECT_TRUE(waiter.inbox.empty());
  const auto before = now();
  wake_ups.deliver(message_for(waiter.id));
  const auto after = now();
  EXPECT_FALSE(waiter.inbox.empty());
  EXPECT_EQ(waiter.waker.times, 1);
  const Mail mail = waiter.inbox.take();
  ASSERT_TRUE(mail.grant);
  EXPECT_EQ(mail.grant->claim, 1000ms);
  EXPECT_EQ(mail.grant->granted_at, 1700000000000005us);
  EXPECT_EQ(mail.grant->token, 7);
  EXPECT_GE(mail.grant->arrived, before);
  EXPECT_LE(mail.grant->arrived, after);
  EXPECT_FALSE(mail.changed);
  EXPECT_TRUE(waiter.inbox.empty());
  EXPECT_TRUE(waiter.inbox.take().empty());
}

TEST_F(WakeUpsTest, GrantsGoByIdAndChangesByKey) {
  Waiter ours{wake_ups, key}, same_key{wake_ups, key}, third_with_it{wake_ups, key};
  Waiter elsewhere{wake_ups, Key{"other key"}};
  const auto all_empty_but = [](std::initializer_list<Waiter*> rest) {
    return std::all_of(rest.begin(), rest.end(), [](Waiter* waiter) { return waiter->inbox.take().empty(); });
  };

  wake_ups.deliver(message_for(ours.id));
  EXPECT_TRUE(ours.inbox.take().grant);
  EXPECT_TRUE(all_empty_but({&same_key, &third_with_it, &elsewhere}));

  wake_ups.key_changed("key");
  for (Waiter* waiter : {&ours, &same_key, &third_with_it}) EXPECT_TRUE(waiter->inbox.take().changed);
  EXPECT_TRUE(all_empty_but({&elsewhere}));

  wake_ups.key_changed("no key of ours");
  wake_ups.deliver(message_for(route::new_owner_id(route::operating_system(), {})));
  wake_ups.place_refreshed(route::new_owner_id(route::operating_system(), {}), Place::renewed);
  EXPECT_TRUE(all_empty_but({&ours, &same_key, &third_with_it, &elsewhere}));

  wake_ups.all_changed();
  for (Waiter* waiter : {&ours, &same_key, &third_with_it, &elsewhere}) EXPECT_TRUE(waiter->inbox.take().changed);
  EXPECT_EQ(ours.waker.times, 3);
  EXPECT_EQ(elsewhere.waker.times, 1);
}

TEST_F(WakeUpsTest, AGrantAndAChangeComeTogether) {
  Waiter waiter{wake_ups, key};
  wake_ups.key_changed("key");
  wake_ups.deliver(message_for(waiter.id));
  const Mail mail = waiter.inbox.take();
  EXPECT_TRUE(mail.grant);
  EXPECT_TRUE(mail.changed);
}

// Nobody is ahead any more: that is told with the lease that the present owner may have left.
TEST_F(WakeUpsTest, ThatAWaiterIsFirstLiesInTheInbox) {
  Waiter waiter{wake_ups, key};
  wake_ups.deliver(message_for(waiter.id, "first 1000"));
  EXPECT_EQ(waiter.waker.times, 1);
  const Mail mail = waiter.inbox.take();
  EXPECT_EQ(mail.first, 1000ms);
  EXPECT_FALSE(mail.grant);
  EXPECT_FALSE(mail.changed);
  EXPECT_TRUE(waiter.inbox.take().empty()) << "it was taken out";
  wake_ups.deliver(message_for(route::new_owner_id(route::operating_system(), {}), "first 1000"));
  EXPECT_TRUE(waiter.inbox.take().empty()) << "another waiter's";
  wake_ups.deliver(message_for(waiter.id, "first 0"));
  wake_ups.deliver(message_for(waiter.id));
  const Mail both = waiter.inbox.take();
  EXPECT_EQ(both.first, 0ms);
  EXPECT_TRUE(both.grant);
}

// The last word on a place counts.
TEST_F(WakeUpsTest, WhatBecameOfAPlace) {
  Waiter waiter{wake_ups, key}, other{wake_ups, key};
  wake_ups.place_refreshed(waiter.id, Place::renewed);
  EXPECT_EQ(waiter.waker.times, 1);
  wake_ups.place_refreshed(waiter.id, Place::no_place);
  EXPECT_FALSE(waiter.inbox.empty());
  const Mail mail = waiter.inbox.take();
  EXPECT_EQ(mail.refreshed, Place::no_place);
  EXPECT_FALSE(mail.grant || mail.first || mail.changed);
  EXPECT_TRUE(other.inbox.empty());
}

// ---- open and closed ------------------------------------------------------------------------------------------------

// A waiter that leaves its place to another one.
TEST_F(WakeUpsTest, AnInboxWithAnotherWaker) {
  Waiter waiter{wake_ups, key};
  CountingWaker other;
  wake_ups.key_changed("key");
  waiter.inbox.change_waker(other);
  EXPECT_TRUE(waiter.inbox.take().changed) << "what has come stays there";
  wake_ups.deliver(message_for(waiter.id));
  EXPECT_EQ(waiter.waker.times, 1);
  EXPECT_EQ(other.times, 1);

  const OwnerId id = route::new_owner_id(route::operating_system(), {});
  Inbox closed{wake_ups, key, id, waiter.waker};
  closed.change_waker(other);
  closed.open();
  wake_ups.deliver(message_for(id));
  EXPECT_EQ(other.times, 2);
}

TEST_F(WakeUpsTest, NothingComesBeforeItIsOpenOrAfterItIsClosed) {
  const OwnerId id = route::new_owner_id(route::operating_system(), {});
  CountingWaker waker;
  const auto bring_everything = [&] {
    wake_ups.deliver(message_for(id));
    wake_ups.place_refreshed(id, Place::renewed);
    wake_ups.key_changed("key");
    wake_ups.all_changed();
  };
  {
    Inbox inbox{wake_ups, key, id, waker};
    bring_everything();
    EXPECT_TRUE(inbox.empty());
    EXPECT_TRUE(inbox.take().empty());
    inbox.open();
    inbox.open();
    EXPECT_TRUE(inbox.empty());
    wake_ups.key_changed("key");
    EXPECT_EQ(waker.times, 1) << "it was opened once";
  }
  bring_everything();
  EXPECT_EQ(waker.times, 1);
  Inbox again{wake_ups, key, id, waker};
  again.open();
  EXPECT_TRUE(again.empty());
  wake_ups.deliver(message_for(id));
  EXPECT_TRUE(again.take().grant);
}

// Those who wait for the same key come and go in any order; who is still there is told.
TEST_F(WakeUpsTest, WaitersForOneKeyLeaveInAnyOrder) {
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  do {
    std::array<std::unique_ptr<Waiter>, 4> waiters;
    // Each with a copy of the text of its own.
    for (auto& waiter : waiters) waiter = std::make_unique<Waiter>(wake_ups, Key{"a key that needs memory of its own"});
    for (const std::size_t leaver : order) {
      waiters.at(leaver).reset();
      wake_ups.key_changed("a key that needs memory of its own");
      for (const auto& waiter : waiters) {
        EXPECT_TRUE(!waiter || waiter->inbox.take().changed);
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

// Without memory it is as if open() had not been called.
TEST_F(WakeUpsTest, OpenWithoutMemory) {
  const OwnerId id = route::new_owner_id(route::operating_system(), {});
  CountingWaker waker;
  int failures = 0;
  for (bool opened = false; !opened; ++failures) {
    ASSERT_LT(failures, 10);
    Inbox inbox{wake_ups, key, id, waker};
    redismutex::testing::allocations_left = failures;
    try {
      inbox.open();
      opened = true;
    } catch (const std::bad_alloc&) {  // that is what was provoked
    }
    redismutex::testing::allocations_left = -1;
    wake_ups.deliver(message_for(id));
    wake_ups.key_changed("key");
    EXPECT_EQ(inbox.empty(), !opened);
  }
  EXPECT_GT(failures, 2) << "of each index one";
  EXPECT_EQ(waker.times, 2);
}

/// Forks while it is woken.
struct ForkingWaker final : route::Waker {
  void wake() noexcept override {
    child.emplace([this] {
      if (!inbox->empty() || !inbox->take().empty()) return 1;
      inbox->open();
      inbox.reset();
      return 0;
    });
  }

  std::optional<Inbox> inbox;
  std::optional<ChildProcess> child;
};

// A child of fork() does not wait for a lock that a thread of its parent's holds.
TEST_F(WakeUpsTest, AnInboxInAChildOfFork) {
  ForkingWaker waker;
  const OwnerId id = route::new_owner_id(route::operating_system(), {});
  waker.inbox.emplace(wake_ups, key, id, waker).open();
  wake_ups.deliver(message_for(id));
  EXPECT_EQ(waker.child->wait(10s), exited(0));
  EXPECT_TRUE(waker.inbox->take().grant);
}

// ---- what anybody may send ------------------------------------------------------------------------------------------

// Anybody with the right to publish can send anything to the channel.
TEST_F(WakeUpsTest, WhatIsNoGrantIsIgnored) {
  Waiter waiter{wake_ups, key};
  for (const std::string rest : {"",
                                 "1000",
                                 "1000 1",
                                 "1000 1 2",
                                 "1000 1 2 ",
                                 "1000 1 2 7 7",
                                 " 1000 1 2 7",
                                 "x 1 2 7",
                                 "1000 x 2 7",
                                 "1000 1 x 7",
                                 "1000 1 2 x",
                                 "-1 1 2 7",
                                 "1000 -1 2 7",
                                 "1000 1 -2 7",
                                 "1000 1 2 -7",
                                 "1000 1 2 7x",
                                 "1e3 1 2 7",
                                 "+1000 1 2 7",
                                 "1000  1 2 7",
                                 "99999999999999999999 1 2 7",
                                 "9000000000000000000 1 2 7",
                                 "1000 9000000000000000000 2 7",
                                 "1000 9007199255 2 7",
                                 "1000 1 1000000 7",
                                 "first",
                                 "first ",
                                 "first x",
                                 "first -1",
                                 "first 1000 1",
                                 "first 1000 1 2 7",
                                 "first 9000000000000000000",
                                 "First 1000",
                                 "1000 first"}) {
    wake_ups.deliver(message_for(waiter.id, rest));
    EXPECT_TRUE(waiter.inbox.take().empty()) << '\'' << rest << '\'';
  }
  wake_ups.deliver("");
  wake_ups.deliver(" ");
  wake_ups.deliver(waiter.id.text());
  wake_ups.deliver(std::string(1000, ' '));
  EXPECT_TRUE(waiter.inbox.take().empty());
  EXPECT_EQ(waiter.waker.times, 0);
  wake_ups.deliver(message_for(waiter.id));
  EXPECT_TRUE(waiter.inbox.take().grant) << "and what follows is not";
}

// ---- many -----------------------------------------------------------------------------------------------------------

/// The processor time of this thread that `work` takes, at best: what else the machine does can only make it longer.
template <class Work>
std::chrono::nanoseconds cost_of(Work work) {
  const auto time = [] {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
  };
  std::chrono::nanoseconds least = std::chrono::nanoseconds::max();
  for (int round = 0; round < 20; ++round) {
    const auto start = time();
    for (int i = 0; i < 20; ++i) work();
    least = std::min(least, time() - start);
  }
  return least;
}

enum class Keys { different, same };

/// What one waiter costs among so many others.
struct Costs {
  Costs(int others, Keys keys) {
    WakeUps wake_ups;
    std::vector<std::unique_ptr<Waiter>> waiters;
    for (int i = 0; i <= others; ++i) {
      const std::string name = keys == Keys::same ? "key" : "key " + std::to_string(i);
      waiters.push_back(std::make_unique<Waiter>(wake_ups, Key{name}));
    }
    const Waiter& one = *waiters.at(static_cast<std::size_t>(others) / 2);
    const std::string message = message_for(one.id);
    grant = cost_of([&] { wake_ups.deliver(message); });
    place = cost_of([&] { wake_ups.place_refreshed(one.id, Place::renewed); });
    const OwnerId id = route::new_owner_id(route::operating_system(), {});
    CountingWaker waker;
    stay = cost_of([&] { Inbox{wake_ups, one.key, id, waker}.open(); });
    const Waiter alone{wake_ups, Key{"alone"}};
    change = cost_of([&] { wake_ups.key_changed("alone"); });
  }

  std::chrono::nanoseconds grant{}, place{}, stay{}, change{};
};

// Whatever comes for one waiter costs the same among 10,000 others as among 10, and so do its coming and going. A search
// through them all would cost some hundred times as much; ten times is allowed.
TEST_F(WakeUpsTest, CostTheSameHoweverManyWait) {
  for (const Keys keys : {Keys::different, Keys::same}) {
    const Costs few{10, keys}, many{10'000, keys};
    EXPECT_LT(many.grant, 10 * few.grant);
    EXPECT_LT(many.place, 10 * few.place);
    EXPECT_LT(many.stay, 10 * few.stay);
    EXPECT_LT(many.change, 10 * few.change);
  }
}

}  // namespace
}  // namespace redismutex::engine
