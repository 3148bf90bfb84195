// Operations of an AsyncMutex that are given up, in each way, at each point where something is awaited: nothing is held afterwards, and nothing is
// left behind.

#include <array>
#include <chrono>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>

#include "support/loop.hpp"
#include "support/proxy.hpp"
#include "support/slow_loop.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct Ends : WithServer {
  SlowLoop loop;
  Proxy proxy{server};
  const AsyncMutex mutex{Connection{proxy.url()}, patient, loop.executor()};
  const RedisMutex elsewhere{connection, patient};

  bool has_ended(const Coroutine& coroutine) {
    return eventually(limit, [&] {
      loop.run();
      return coroutine.has_ended();
    });
  }

  void TearDown() override {
    loop.run();
    WithServer::TearDown();
  }

  /// The way to the server is open, and known.
  void connect() {
    Coroutine first = acquire();
    ASSERT_TRUE(has_ended(first));
    ASSERT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
  }

  Coroutine acquire(std::stop_token stop = {}) {
    const AsyncLock lock = co_await mutex.acquire_lock("key", std::move(stop));
  }
};

// The completion has the lock given back, and nobody else has the connection: its turn of the loop ends after that.
TEST(LastOwner, GoesInACompletion) {
  Server server;
  SlowLoop loop;
  for (int i = 0; i < 20; ++i) {
    std::optional<AsyncMutex> mutex{std::in_place, Connection{server.url()}, patient, loop.executor()};
    bool over = false;
    mutex->acquire_lock("key").start([&](const Outcome<AsyncLock>& outcome) {
      EXPECT_TRUE(outcome);
      mutex.reset();
      over = true;
    });
    ASSERT_TRUE(eventually(limit, [&] {
      loop.run();
      return over;
    }));
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
  }
}

// ---- an acquisition -------------------------------------------------------------------------------------------------

enum class Where { dialling, under_way, answered, in_line, behind_others, granted };
enum class How { is_stopped, is_destroyed, loses_its_loop };
enum class When { under_way, completed };

const auto every_where = ::testing::Values(Where::dialling, Where::under_way, Where::answered, Where::in_line,
                                           Where::behind_others, Where::granted);
const auto every_how = ::testing::Values(How::is_stopped, How::is_destroyed, How::loses_its_loop);

std::string word(Where where) {
  constexpr std::array words{"Dialling", "UnderWay", "Answered", "InLine", "BehindOthers", "Granted"};
  return words.at(static_cast<std::size_t>(where));
}
std::string word(When when) { return when == When::under_way ? "UnderWay" : "Completed"; }
std::string word(How how) {
  constexpr std::array words{"Stopped", "Destroyed", "WithoutItsLoop"};
  return words.at(static_cast<std::size_t>(how));
}

template <class Point>
std::string name_of(const ::testing::TestParamInfo<std::tuple<Point, How>>& info) {
  return word(std::get<0>(info.param)) + word(std::get<1>(info.param));
}

struct AnAcquisition : Ends, ::testing::WithParamInterface<std::tuple<Where, How>> {
  std::optional<Lock> held;
  std::optional<Coroutine> first;

  Coroutine go_to(Where where, std::stop_token stop) {
    if (where != Where::dialling) connect();
    if (where == Where::dialling || where == Where::under_way) proxy.freeze();
    if (where == Where::answered) proxy.delay(Direction::replies, 2 * quiet_time);
    if (where == Where::in_line || where == Where::behind_others) held = elsewhere.acquire_lock("key");
    if (where == Where::behind_others) {
      first.emplace(acquire());
      EXPECT_TRUE(somebody_waits());
    }
    Coroutine coroutine = acquire(std::move(stop));
    switch (where) {
      case Where::dialling: EXPECT_TRUE(eventually(limit, [&] { return proxy.connections() == 1; })); break;
      case Where::answered: EXPECT_TRUE(eventually(limit, [&] { return server.exists("key"); })); break;
      case Where::in_line: EXPECT_TRUE(somebody_waits()); break;
      case Where::granted: EXPECT_TRUE(eventually(limit, [&] { return loop.has_work(); })); break;
      default: break;
    }
    return coroutine;
  }

  bool somebody_waits() {
    return eventually(limit, [&] { return server.exists("redismutex:{key}"); });
  }
};

TEST_P(AnAcquisition, ThatIsGivenUpHoldsNothing) {
  const auto [where, how] = GetParam();
  std::stop_source stop;
  Coroutine coroutine = go_to(where, stop.get_token());
  if (how == How::is_stopped) {
    stop.request_stop();
    EXPECT_TRUE(has_ended(coroutine));
    EXPECT_THROW(coroutine.get(), LockCancelled);
  } else if (how == How::is_destroyed) {
    coroutine.destroy();
  } else {
    loop.end();
  }
  proxy.pass();
  if (held) held->release();
  if (first && how != How::loses_its_loop) {
    EXPECT_TRUE(has_ended(*first));
    first->get();
  }
}

INSTANTIATE_TEST_SUITE_P(AtAnyPoint, AnAcquisition, ::testing::Combine(every_where, every_how), name_of<Where>);

// ---- what a holder awaits -------------------------------------------------------------------------------------------

struct AHolder : Ends, ::testing::WithParamInterface<std::tuple<When, How>> {
  /// Its lock is in `lock`.
  std::optional<AsyncLock> lock;

  void SetUp() override {
    mutex.acquire_lock("key").start([this](Outcome<AsyncLock> outcome) { lock.emplace(std::move(outcome).get()); });
    ASSERT_TRUE(eventually(limit, [&] {
      loop.run();
      return lock.has_value();
    }));
    if (std::get<0>(GetParam()) == When::under_way) proxy.freeze();
  }

  void TearDown() override {
    lock.reset();
    Ends::TearDown();
  }

  void give_up(Coroutine& coroutine) {
    const auto [when, how] = GetParam();
    if (when == When::completed) {
      EXPECT_TRUE(eventually(limit, [&] { return loop.has_work(); }));
    }
    if (how == How::is_destroyed) {
      coroutine.destroy();
    } else {
      loop.end();
    }
    proxy.pass();
  }

  Coroutine release() { co_await lock->release(); }
  Coroutine extend() { co_await lock->extend(1h); }
  Coroutine lose() { co_await lock->lost(); }
};

TEST_P(AHolder, WhoseReleaseIsGivenUpHasReleased) {
  Coroutine coroutine = release();
  give_up(coroutine);
  EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  EXPECT_FALSE(lock->owns_lock());
}

TEST_P(AHolder, WhoseExtensionIsGivenUpHasTheLock) {
  Coroutine coroutine = extend();
  give_up(coroutine);
  EXPECT_TRUE(eventually(limit, [&] { return server.pttl("key") > 3'500'000; }));
  EXPECT_TRUE(eventually(limit, [&] { return lock->valid_for() > 50min; }));
}

TEST_P(AHolder, WhoListensNoMoreHasTheLock) {
  Coroutine coroutine = lose();
  if (std::get<0>(GetParam()) == When::completed) server.command({"DEL", "key"});
  give_up(coroutine);
  EXPECT_EQ(lock->owns_lock(), std::get<0>(GetParam()) == When::under_way);
}

INSTANTIATE_TEST_SUITE_P(AtAnyPoint, AHolder,
                         ::testing::Combine(::testing::Values(When::under_way, When::completed),
                                            ::testing::Values(How::is_destroyed, How::loses_its_loop)),
                         name_of<When>);

}  // namespace
}  // namespace redismutex::testing
