// fork(): a child has a Runtime of its own, which knows nothing of its parent's.

#include "api/runtimes.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/runtime.hpp"
#include "engine/approach.hpp"
#include "engine/line.hpp"
#include "route/sleeper.hpp"
#include "support/channel.hpp"
#include "support/limits.hpp"
#include "support/process.hpp"
#include "support/sanitizers.hpp"

namespace redismutex::api {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using redismutex::testing::Channel;
using redismutex::testing::ChildProcess;
using redismutex::testing::exited;
using redismutex::testing::under_address_sanitizer;

using testing::limit;

/// Something that a Runtime's background is to do once, at that time.
class Work final : public route::Background::Duty {
 public:
  Work(Runtime& runtime, Instant at) : background_{runtime.session().background()} {
    background_.enlist(*this);
    background_.call(*this, at);
  }
  ~Work() { background_.withdraw(*this); }

  Instant run(Instant /*now*/) noexcept override {
    if (!std::exchange(has_run_, true)) ran_.set_value();
    return Instant::max();
  }

  bool is_done_in_time() { return ran_.get_future().wait_for(limit) == std::future_status::ready; }

 private:
  route::Background& background_;
  std::promise<void> ran_;
  bool has_run_ = false;  // a round is where one thread at a time is
};

/// Whether work that is due runs.
bool works(Runtime& runtime) { return Work{runtime, runtime.session().now()}.is_done_in_time(); }

/// Stands in a Runtime's line for a key.
class Entered {
 public:
  Entered(Runtime& runtime, const protocol::Key& key)
      : lines_{runtime.session().lines()}, member_{key, wishes_, sleeper_} {
    lines_.enter(member_);
  }
  ~Entered() {
    if (is_first()) lines_.give_up(member_, nullptr);
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

  bool is_first() const { return member_.state() == engine::Lines::Member::State::first; }

 private:
  engine::Lines& lines_;
  const engine::Wishes wishes_{.expiry = 7s, .delay = 1s, .wait_until = std::nullopt};
  route::Sleeper sleeper_;
  engine::Lines::Member member_;
};

struct RuntimesTest : ::testing::Test {
  /// There is no server behind them, and none is needed.
  static ConnectionOptions options() { return {.unix_socket = "/nonexistent/redis.sock", .connect_timeout = 1ms}; }

  static std::string tag_of(Runtime& runtime) { return runtime.session().identity().tag().text(); }
  static std::string mailbox_of(Runtime& runtime) { return runtime.session().router().any().pushes().mailbox(); }

  Runtimes runtimes{options()};
  const protocol::Key key{"key"};
};

TEST_F(RuntimesTest, AreOneInAProcess) {
  const auto runtime = runtimes.present();
  EXPECT_EQ(runtimes.present(), runtime);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(runtimes.present(), runtime); });
  }
}

TEST_F(RuntimesTest, ThreadsThatComeFirstTogetherGetTheSame) {
  for (int round = 0; round < 50; ++round) {
    Runtimes fresh{options()};
    std::vector<std::shared_ptr<Runtime>> got(4);
    {
      std::vector<std::jthread> threads;
      for (auto& place : got) threads.emplace_back([&] { place = fresh.present(); });
    }
    for (const auto& one : got) EXPECT_EQ(one, got[0]);
  }
}

TEST_F(RuntimesTest, OutliveTheirConnection) {
  std::optional<Runtimes> short_lived{std::in_place, options()};
  const auto runtime = short_lived->present();
  short_lived.reset();
  EXPECT_EQ(tag_of(*runtime), tag_of(*runtime));
  EXPECT_TRUE(works(*runtime));
}

// In the child another one, with a tag, a channel and lines of its own; the parent's stays what it was, also when the child lets
// go of everything.
TEST_F(RuntimesTest, AChildHasAnother) {
  auto runtime = runtimes.present();
  const std::string mailbox = mailbox_of(*runtime);
  const std::string tag = tag_of(*runtime);
  const Entered inside{*runtime, key};
  ASSERT_TRUE(inside.is_first());
  ASSERT_TRUE(works(*runtime));  // a thread that is just starting may leave the address sanitizer locked in the child
  const Work later{*runtime, runtime->session().now() + 1h};
  Channel from_child;
  const ChildProcess child{[&] {
    {
      const auto own = runtimes.present();
      if (own == runtime || own->inherited() || !runtime->inherited() || runtimes.present() != own) return 1;
      from_child.send(mailbox_of(*own));
      from_child.send(tag_of(*own));
      const Entered first{*own, key};
      if (!first.is_first() || !works(*own)) return 2;
    }
    runtime.reset();
    const ChildProcess grandchild{[&] { return works(*runtimes.present()) ? 0 : 1; }};
    return grandchild.wait(limit) == exited(0) ? 0 : 3;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  const auto childs_mailbox = from_child.receive(limit), childs_tag = from_child.receive(limit);
  ASSERT_TRUE(childs_mailbox && childs_tag);
  EXPECT_NE(*childs_mailbox, mailbox);
  EXPECT_NE(*childs_tag, tag);
  EXPECT_EQ(runtimes.present(), runtime);
  EXPECT_EQ(mailbox_of(*runtime), mailbox);
  EXPECT_EQ(tag_of(*runtime), tag);
  EXPECT_TRUE(works(*runtime));
}

// The last owner of a parent's Runtime may go in a child: nothing happens there.
TEST_F(RuntimesTest, AChildLetsGoOfItsParents) {
  std::optional<Runtimes> others{std::in_place, options()};
  auto runtime = others->present();
  ASSERT_TRUE(works(*runtime));
  const ChildProcess child{[&] {
    others.reset();
    runtime.reset();
    return 0;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(works(*runtime));
}

// Forked at any moment of others' first use, a child finds nothing locked.
TEST_F(RuntimesTest, AChildFindsNothingLocked) {
  // The address sanitizer's own memory manager may be locked by one of them, see fork_test.cpp: there is none there.
  constexpr int others = under_address_sanitizer ? 0 : 3;
  std::vector<std::jthread> threads;
  for (int i = 0; i < others; ++i) {
    threads.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        Runtimes fresh{options()};
        works(*fresh.present());
        const Entered briefly{*fresh.present(), key};
      }
    });
  }
  for (int n = 0; n < 100; ++n) {
    const ChildProcess child{[&] {
      const auto own = runtimes.present();
      const Entered first{*own, key};
      return first.is_first() && works(*own) ? 0 : 1;
    }};
    ASSERT_EQ(child.wait(limit), exited(0));
  }
}

}  // namespace
}  // namespace redismutex::api
