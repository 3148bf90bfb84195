// A thread that waits for mail: at a link, or without one.

#include "route/sleeper.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "engine/wake_ups.hpp"
#include "route/environment.hpp"
#include "unit/net/waiter.hpp"

namespace redismutex::route {
namespace {

using namespace std::chrono_literals;
using engine::Inbox;
using engine::Mail;
using protocol::Key;
using protocol::OwnerId;

net::Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }

class SleeperTest : public ::testing::Test {
 protected:
  engine::WakeUps wake_ups;
  net::Linked linked;
  const Key key{"key"};
  const OwnerId id = new_owner_id(operating_system(), {});
  Sleeper sleeper;
  Inbox inbox{wake_ups, key, id, sleeper};

  void SetUp() override { inbox.open(); }

  std::string message(const std::string& rest = "1000 1700000000 5 7") const {
    return std::string{id.text()} + ' ' + rest;
  }
};

TEST_F(SleeperTest, NewsWakeItAtALink) {
  bool intact = false;
  {
    net::Waiter waiter{[&] {
      intact = sleeper.sleep_at(linked.link, net::far(), {});
      return net::Link::Waited::done;
    }};
    waiter.until_asleep();
    wake_ups.deliver(message());
    waiter.outcome();
  }
  EXPECT_TRUE(intact);
  EXPECT_TRUE(inbox.take().grant);
}

TEST_F(SleeperTest, NewsWakeItWithoutALink) {
  {
    net::Waiter waiter{[&] {
      sleeper.sleep(net::far(), {});
      return net::Link::Waited::done;
    }};
    waiter.until_asleep();
    wake_ups.deliver(message("first 1000"));
    waiter.outcome();
  }
  EXPECT_EQ(inbox.take().first, 1000ms);
}

// In two halves: the thread may be gone by the second one.
TEST_F(SleeperTest, IsWokenInTwoHalves) {
  for (int i = 0; i < 100; ++i) {
    Waker::Rest rest;
    {
      Sleeper passing;
      std::jthread waking{[&] { rest = passing.begin_wake(); }};
      passing.sleep(in(0s), {});
      waking.join();
    }
    rest.finish();
  }
  Sleeper asleep;
  net::Waiter waiter{[&] {
    asleep.sleep(net::far(), {});
    return net::Link::Waited::done;
  }};
  waiter.until_asleep();
  asleep.begin_wake().finish();
  waiter.outcome();
}

TEST_F(SleeperTest, EndsAtTheDeadline) {
  const auto deadline = in(20ms);
  EXPECT_TRUE(sleeper.sleep_at(linked.link, deadline, {}));
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
  const auto second = in(20ms);
  sleeper.sleep(second, {});
  EXPECT_GE(std::chrono::steady_clock::now(), second);
  EXPECT_TRUE(inbox.take().empty());
}

TEST_F(SleeperTest, IsStopped) {
  std::stop_source stop;
  std::jthread stopping{[&] { stop.request_stop(); }};
  EXPECT_TRUE(sleeper.sleep_at(linked.link, net::far(), stop.get_token()));
  sleeper.sleep(net::far(), stop.get_token());
  EXPECT_TRUE(inbox.take().empty());
}

TEST_F(SleeperTest, EndsWithTheLink) {
  std::jthread closing{[&] { linked.peer.close(); }};
  EXPECT_FALSE(sleeper.sleep_at(linked.link, net::far(), {}));
  EXPECT_TRUE(inbox.take().empty());
}

// News that came before it sleeps are had at once, even if the link is broken already.
TEST_F(SleeperTest, NewsThatCameBefore) {
  wake_ups.deliver(message());
  linked.link.fail({net::Failure::Kind::unreachable, "for this test"});
  EXPECT_TRUE(sleeper.sleep_at(linked.link, net::far(), {}));
  EXPECT_TRUE(inbox.take().grant);
}

// News and stops at the same time as the sleep begins and ends: each grant is seen once, and nothing hangs.
TEST_F(SleeperTest, NewsAtAnyMoment) {
  constexpr int rounds = 300;
  for (int i = 0; i < rounds; ++i) {
    std::stop_source stop;
    std::jthread postman{[&] {
      wake_ups.deliver(message());
      stop.request_stop();
    }};
    if (i % 2 == 0) {
      sleeper.sleep_at(linked.link, net::far(), stop.get_token());
    } else {
      sleeper.sleep(net::far(), stop.get_token());
    }
    postman.join();
    EXPECT_TRUE(inbox.take().grant) << "it is in the inbox before the stop";
  }
}

// News at the very end of a sleep, or after it, touch neither the link nor the thread's stay there. They may end the next sleep.
TEST_F(SleeperTest, NewsAfterTheSleep) {
  for (int i = 0; i < 300; ++i) {
    const std::jthread postman{[&] {
      for (int times = 0; times < 10; ++times) wake_ups.key_changed("key");
    }};
    do {
      EXPECT_TRUE(sleeper.sleep_at(linked.link, net::far(), {}));
    } while (!inbox.take().changed);
  }
}

}  // namespace
}  // namespace redismutex::route
