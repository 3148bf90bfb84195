// Coroutines and callbacks that wait for locks of several independent servers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "integration/stopwatch.hpp"
#include "quorum/with_quorum.hpp"
#include "support/exclusion_witness.hpp"
#include "support/loop.hpp"
#include "support/process.hpp"
#include "support/slow_loop.hpp"

namespace redismutex {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::ChildProcess;
using testing::Coroutine;
using testing::eventually;
using testing::ExclusionWitness;
using ::testing::HasSubstr;
using testing::limit;
using ::testing::Lt;
using testing::patient;
using testing::Stopwatch;
using testing::wait_for;
using testing::WithQuorum;

// ---- taken, given back ----------------------------------------------------------------------------------------------

struct AsyncQuorum : WithQuorum {
  testing::Loop loop;
  const AsyncMutex mutex{servers().connection(), patient, loop.executor()};
};

TEST_F(AsyncQuorum, IsHeldByTheCoroutineUntilItGivesItBack) {
  AsyncLock lock = wait_for(mutex.acquire_lock("job"));
  EXPECT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  EXPECT_GT(wait_for(lock.extend(4 * limit)), 2 * limit);
  EXPECT_FALSE(wait_for(AsyncMutex{servers().connection(), patient, loop.executor()}.try_acquire_lock("job")));
  wait_for(lock.release());
  EXPECT_EQ(lock.value(), "");
  EXPECT_TRUE(wait_for(mutex.try_acquire_lock("job")));
}

TEST_F(AsyncQuorum, OneIsInsideAtATimeOfCoroutinesAndThreads) {
  constexpr int workers = 12;
  constexpr int turns = 8;
  ExclusionWitness witness;
  const AsyncMutex other{servers().connection(), patient, loop.executor()};
  const auto work = [&](const AsyncMutex& where) -> Coroutine {
    for (int i = 0; i < turns; ++i) {
      AsyncLock lock = co_await where.acquire_lock("job");
      witness.enter();
      co_await loop.sleep(500us);
      witness.leave();
      co_await lock.release();
    }
  };
  std::vector<Coroutine> all;
  for (int i = 0; i < workers; ++i) all.push_back(work(i % 2 == 0 ? mutex : other));
  const RedisMutex blocking{servers().connection(), patient};
  for (int i = 0; i < turns; ++i) {
    const Lock lock = blocking.acquire_lock("job");
    witness.enter();
    witness.leave();
  }
  for (Coroutine& each : all) each.get();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), (workers + 1) * turns);
}

// ---- trouble --------------------------------------------------------------------------------------------------------

TEST_F(AsyncQuorum, AMinorityMayBeAwayAndAMajorityMayNot) {
  servers()[0].kill();
  servers()[3].kill();
  wait_for(wait_for(mutex.acquire_lock("job")).release());
  servers()[4].kill();
  try {
    wait_for(mutex.try_acquire_lock("job"));
    FAIL();
  } catch (const ConnectionError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("'job'"), HasSubstr("3 are needed"), HasSubstr(servers()[4].socket_path())));
  }
}

TEST_F(AsyncQuorum, ALossIsTold) {
  AsyncLock lock = wait_for(mutex.acquire_lock("job"));
  ASSERT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  const std::stop_token lost = lock.lost_token();
  std::optional<Loss> why;
  const auto lose = [&]() -> Coroutine { why = co_await lock.lost(); };
  Coroutine losing = lose();
  for (const std::size_t server : {0U, 1U, 2U}) servers()[server].command({"DEL", "job"});
  ASSERT_TRUE(losing.ends_within(limit));
  losing.get();
  EXPECT_EQ(why, Loss::gone);
  EXPECT_TRUE(lost.stop_requested());
  EXPECT_EQ(lock.valid_for(), 0ms);
  EXPECT_THROW(wait_for(lock.extend()), MutexUnlockError);
  EXPECT_THROW(wait_for(lock.release()), MutexUnlockError);
}

TEST_F(AsyncQuorum, AServerThatIsFrozenHoldsNoLoopUp) {
  servers()[2].pause();
  const Stopwatch watch;
  for (int i = 0; i < 3; ++i) wait_for(wait_for(mutex.acquire_lock("job")).release());
  EXPECT_THAT(watch.elapsed_ms(), Lt(2'000));
  servers()[2].resume();
}

TEST_F(AsyncQuorum, AChildDoesNotHoldItsParentsLock) {
  AsyncLock lock = wait_for(mutex.acquire_lock("job"));
  ChildProcess child{[&] {
    if (lock.owns_lock()) return 1;
    testing::Loop own;
    const AsyncMutex fresh{servers().connection(), patient, own.executor()};
    if (wait_for(fresh.try_acquire_lock("job"))) return 2;
    wait_for(wait_for(fresh.acquire_lock("another")).release());
    const AsyncLock inherited = std::move(lock);
    return 0;
  }};
  EXPECT_EQ(child.wait(2 * limit), testing::exited(0));
  EXPECT_TRUE(lock.owns_lock());
  wait_for(lock.release());
}

// What is awaited keeps the servers' connections alive, and nothing else does.
TEST_F(AsyncQuorum, TheLastToGoMayBeACompletion) {
  for (int i = 0; i < 20; ++i) {
    auto alone = std::make_unique<AsyncMutex>(servers().connection(), patient, loop.executor());
    const auto use = [&]() -> Coroutine {
      AsyncLock lock = co_await alone->acquire_lock("job");
      alone.reset();
    };
    use().get();
  }
}

// ---- given up -------------------------------------------------------------------------------------------------------

enum class Where { under_way, in_line, granted };
enum class How { is_stopped, is_destroyed, loses_its_loop };

struct AQuorumsAcquisition : WithQuorum, ::testing::WithParamInterface<std::tuple<Where, How>> {
  testing::SlowLoop loop;
  const AsyncMutex mutex{servers().connection(), patient, loop.executor()};
  const RedisMutex elsewhere{servers().connection(), patient};

  Coroutine acquire(std::stop_token stop) {
    const AsyncLock lock = co_await mutex.acquire_lock("job", std::move(stop));
  }

  bool reaches(Where where) {
    return eventually(limit, [&] {
      if (where == Where::under_way) return true;
      return where == Where::in_line ? servers().waiting("job") == 5 : loop.has_work();
    });
  }
};

TEST_P(AQuorumsAcquisition, ThatIsGivenUpHoldsNothing) {
  const auto [where, how] = GetParam();
  std::optional<Lock> held;
  if (where == Where::in_line) held = elsewhere.acquire_lock("job");
  if (where == Where::under_way) {
    for (testing::Server& server : servers()) server.pause();
  }
  std::stop_source stop;
  Coroutine coroutine = acquire(stop.get_token());
  ASSERT_TRUE(reaches(where));
  if (how == How::is_stopped) {
    stop.request_stop();
    EXPECT_TRUE(eventually(limit, [&] {
      loop.run();
      return coroutine.has_ended();
    }));
    EXPECT_THROW(coroutine.get(), LockCancelled);
  } else if (how == How::is_destroyed) {
    coroutine.destroy();
  } else {
    loop.end();
  }
  if (where == Where::under_way) {
    for (testing::Server& server : servers()) server.resume();
  }
  held.reset();
  loop.run();
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Where, How>>& info) {
  constexpr std::array points{"UnderWay", "InLine", "Granted"};
  constexpr std::array ways{"Stopped", "Destroyed", "WithoutItsLoop"};
  return std::string{points.at(static_cast<std::size_t>(std::get<0>(info.param)))} +
         ways.at(static_cast<std::size_t>(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(AtAnyPoint, AQuorumsAcquisition,
                         ::testing::Combine(::testing::Values(Where::under_way, Where::in_line, Where::granted),
                                            ::testing::Values(How::is_stopped, How::is_destroyed, How::loses_its_loop)),
                         name_of);

}  // namespace
}  // namespace redismutex
