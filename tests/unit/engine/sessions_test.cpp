// fork(): a child has a Session of its own, which knows nothing of its parent's.

#include "engine/sessions.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/clock.hpp"
#include "engine/session.hpp"
#include "support/channel.hpp"
#include "support/process.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using redismutex::testing::Channel;
using redismutex::testing::ChildProcess;
using redismutex::testing::exited;
using redismutex::testing::under_address_sanitizer;
using Kind = LocalQueues::Turn::Kind;

constexpr auto limit = 10s;  // for what must happen

net::Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }

struct SessionsTest : ::testing::Test {
  /// There is no server behind them, and none is needed.
  static ConnectionOptions options() { return {.unix_socket = "/nonexistent/redis.sock", .connect_timeout = 1ms}; }

  static std::string tag_of(Session& session) {
    const auto tag = session.tag(in(limit), {});
    const auto* known = std::get_if<protocol::Tag>(&tag);
    return known != nullptr ? known->text() : "";
  }

  /// Whether work that is due runs.
  static bool works(Session& session) {
    std::promise<void> ran;
    session.errands().schedule(now(), [&ran]() -> std::optional<protocol::Instant> {
      ran.set_value();
      return std::nullopt;
    });
    return ran.get_future().wait_for(limit) == std::future_status::ready;
  }

  Sessions sessions{options()};
  const protocol::Key key{"key"};
};

TEST_F(SessionsTest, AreOneInAProcess) {
  const auto session = sessions.present();
  EXPECT_EQ(sessions.present(), session);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(sessions.present(), session); });
  }
}

TEST_F(SessionsTest, ThreadsThatComeFirstTogetherGetTheSame) {
  for (int round = 0; round < 50; ++round) {
    Sessions fresh{options()};
    std::vector<std::shared_ptr<Session>> got(4);
    {
      std::vector<std::jthread> threads;
      for (auto& place : got) threads.emplace_back([&] { place = fresh.present(); });
    }
    for (const auto& one : got) EXPECT_EQ(one, got[0]);
  }
}

TEST_F(SessionsTest, OutliveTheirConnection) {
  std::optional<Sessions> short_lived{std::in_place, options()};
  const auto session = short_lived->present();
  short_lived.reset();
  EXPECT_EQ(tag_of(*session), tag_of(*session));
}

// In the child another one, with a tag, a channel and lines of its own; the parent's stays what it was, also when the child lets
// go of everything.
TEST_F(SessionsTest, AChildHasAnother) {
  auto session = sessions.present();
  const std::string mailbox = session->mailbox();
  const std::string tag = tag_of(*session);
  const auto inside = session->local_queues().enter(key, in(0ms), {}, {});
  ASSERT_EQ(inside.kind, Kind::first);
  ASSERT_TRUE(works(*session));  // a thread that is just starting may leave the address sanitizer locked in the child
  session->errands().schedule(now() + 1h, [] { return std::nullopt; });
  Channel from_child;
  const ChildProcess child{[&] {
    {
      const auto own = sessions.present();
      if (own == session || own->inherited() || !session->inherited() || sessions.present() != own) return 1;
      from_child.send(own->mailbox());
      from_child.send(tag_of(*own));
      const auto first = own->local_queues().enter(key, in(0ms), {}, {});
      if (first.kind != Kind::first || !works(*own)) return 2;
      LocalQueues::leave(first.ticket);
    }
    session.reset();
    const ChildProcess grandchild{[&] { return works(*sessions.present()) ? 0 : 1; }};
    return grandchild.wait(limit) == exited(0) ? 0 : 3;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  const auto childs_mailbox = from_child.receive(limit), childs_tag = from_child.receive(limit);
  ASSERT_TRUE(childs_mailbox && childs_tag);
  EXPECT_NE(*childs_mailbox, mailbox);
  EXPECT_NE(*childs_tag, tag);
  EXPECT_EQ(sessions.present(), session);
  EXPECT_EQ(session->mailbox(), mailbox);
  EXPECT_EQ(tag_of(*session), tag);
  EXPECT_TRUE(works(*session));
  LocalQueues::leave(inside.ticket);
}

// The last owner of a parent's Session may go in a child: nothing happens there.
TEST_F(SessionsTest, AChildLetsGoOfItsParents) {
  std::optional<Sessions> others{std::in_place, options()};
  auto session = others->present();
  ASSERT_TRUE(works(*session));
  const ChildProcess child{[&] {
    others.reset();
    session.reset();
    return 0;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(works(*session));
}

// Forked at any moment of others' first use, a child finds nothing locked.
TEST_F(SessionsTest, AChildFindsNothingLocked) {
  // The address sanitizer's own memory manager may be locked by one of them, see fork_test.cpp: there is none there.
  constexpr int others = under_address_sanitizer ? 0 : 3;
  std::vector<std::jthread> threads;
  for (int i = 0; i < others; ++i) {
    threads.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        Sessions fresh{options()};
        works(*fresh.present());
        const auto turn = sessions.present()->local_queues().enter(key, in(0ms), {}, [] {});
        if (turn.kind == Kind::first) LocalQueues::leave(turn.ticket);
      }
    });
  }
  for (int n = 0; n < 100; ++n) {
    const ChildProcess child{[&] {
      const auto own = sessions.present();
      const auto turn = own->local_queues().enter(key, in(0ms), {}, [] {});
      return turn.kind == Kind::first && works(*own) ? 0 : 1;
    }};
    ASSERT_EQ(child.wait(limit), exited(0));
  }
}

}  // namespace
}  // namespace redismutex::engine
