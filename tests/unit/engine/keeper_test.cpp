#include "engine/keeper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/clock.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using protocol::Instant;
using redismutex::testing::eventually;
using redismutex::testing::thread_count;
using ::testing::ElementsAre;

constexpr auto limit = 10s;  // for what must happen

/// What ran, in its order.
class Log {
 public:
  void add(int number) {
    const std::lock_guard lock{mutex_};
    numbers_.push_back(number);
  }
  std::vector<int> numbers() const {
    const std::lock_guard lock{mutex_};
    return numbers_;
  }
  bool has(std::size_t count) const { return numbers().size() >= count; }

 private:
  mutable std::mutex mutex_;
  std::vector<int> numbers_;
};

Keeper::Work noting(Log& log, int number) {
  return [&log, number]() -> std::optional<Instant> {
    log.add(number);
    return std::nullopt;
  };
}

/// Keeps a keeper's thread busy until it is opened: what is scheduled meanwhile can not run yet.
class Gate {
 public:
  explicit Gate(Keeper& keeper) {
    keeper.schedule(now(), [this]() -> std::optional<Instant> {
      entered_.set_value();
      opened_.get_future().wait();
      return std::nullopt;
    });
    entered_.get_future().wait();
  }

  void open() { opened_.set_value(); }

 private:
  std::promise<void> entered_, opened_;
};

/// With the first thread the thread sanitizer starts one of its own.
struct KeeperTest : ::testing::TestWithParam<Keeper::Place> {
  KeeperTest() {
    std::thread{[] {}}.join();
  }

  /// The reactor's, and that of a worker where there has to be one.
  long own_threads() const { return GetParam() == Keeper::Place::workers ? 2 : 1; }

  net::ReactorOnDemand reactor;
};

INSTANTIATE_TEST_SUITE_P(Places, KeeperTest, ::testing::Values(Keeper::Place::reactor, Keeper::Place::workers),
                         [](const auto& place) {
                           return place.param == Keeper::Place::reactor ? "reactor" : "workers";
                         });

// The threads start with the first work, so a keeper without any costs none.
TEST_P(KeeperTest, HasAThreadOnlyWhenThereIsWork) {
  const long before = thread_count();
  {
    net::ReactorOnDemand own;
    Keeper keeper{own, GetParam()}, another{own, GetParam()};
    EXPECT_EQ(thread_count(), before);
    keeper.schedule(now() + 1h, [] { return std::nullopt; });
    keeper.schedule(now() + 1h, [] { return std::nullopt; });
    another.schedule(now() + 1h, [] { return std::nullopt; });
    EXPECT_EQ(thread_count(), before + own_threads());
  }
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == before; }));  // the kernel may need a moment
}

// Who will need the thread when there is no time to start it, has it started before; and then it is the one that works.
TEST_P(KeeperTest, HasItsThreadWhenItIsToGetReady) {
  const long before = thread_count();
  Log log;
  std::atomic<bool> in_reactor{false}, in_worker{false};
  Keeper keeper{reactor, GetParam()};
  keeper.get_ready();
  keeper.get_ready();
  EXPECT_EQ(thread_count(), before + own_threads());
  EXPECT_FALSE(reactor.runs_this_thread());
  keeper.schedule(now(), [&]() -> std::optional<Instant> {
    in_reactor = reactor.get().runs_this_thread();
    in_worker = reactor.get().workers().runs_this_thread();
    if (reactor.runs_this_thread()) log.add(1);
    return std::nullopt;
  });
  EXPECT_TRUE(eventually(limit, [&] { return log.has(1); }));
  EXPECT_EQ(in_reactor, GetParam() == Keeper::Place::reactor);
  EXPECT_EQ(in_worker, GetParam() == Keeper::Place::workers);
  // On a busy machine there may have been one more for a while.
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == before + own_threads(); }));
}

// Work runs at its time: in the order of the times, whatever the order of scheduling, and none too early.
TEST_P(KeeperTest, RunsWorkAtItsTime) {
  Log log;
  std::atomic<int> early{0};
  Keeper keeper{reactor, GetParam()};
  Gate gate{keeper};
  const Instant start = now();
  for (const int place : {3, 1, 4, 2, 0}) {
    const Instant due = start + place * 2ms;
    keeper.schedule(due, [&, due, place]() -> std::optional<Instant> {
      if (now() < due) ++early;
      log.add(place);
      return std::nullopt;
    });
  }
  gate.open();
  EXPECT_TRUE(eventually(limit, [&] { return log.has(5); }));
  EXPECT_THAT(log.numbers(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(early, 0);
}

// Work due at the same time, or due long ago, runs at once and in the order of scheduling.
TEST_P(KeeperTest, RunsWorkThatIsDueInTheOrderOfScheduling) {
  Log log;
  Keeper keeper{reactor, GetParam()};
  const Instant due = now() - 1s;
  for (int i = 0; i < 5; ++i) keeper.schedule(due, noting(log, i));
  EXPECT_TRUE(eventually(limit, [&] { return log.has(5); }));
  EXPECT_THAT(log.numbers(), ElementsAre(0, 1, 2, 3, 4));
  Log ancient;
  keeper.schedule(Instant{}, noting(ancient, 1));
  keeper.schedule(Instant::min(), noting(ancient, 2));
  EXPECT_TRUE(eventually(limit, [&] { return ancient.has(2); }));
}

// Work that comes to be due before all other wakes the thread for itself.
TEST_P(KeeperTest, WakesForEarlierWork) {
  Log log;
  Keeper keeper{reactor, GetParam()};
  keeper.schedule(now() + 1h, noting(log, 1));
  keeper.schedule(now() + 1ms, noting(log, 2));
  EXPECT_TRUE(eventually(limit, [&] { return log.has(1); }));
  EXPECT_THAT(log.numbers(), ElementsAre(2));
}

// Work says itself when to run again, and when it is done its captures are destroyed.
TEST_P(KeeperTest, RepeatsWorkUntilItIsDone) {
  std::atomic<int> runs{0};
  Instant last{};
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> alive{captured};
  Keeper keeper{reactor, GetParam()};
  keeper.schedule(now(), [&, captured = std::move(captured)]() -> std::optional<Instant> {
    EXPECT_GE(now(), last);
    last = now() + 1ms;
    return ++runs < 5 ? std::optional{last} : std::nullopt;
  });
  EXPECT_TRUE(eventually(limit, [&] { return alive.expired(); }));
  EXPECT_EQ(runs, 5);
}

// Cancelled work never runs, and is destroyed at once; other work is not touched. Cancelling twice is harmless.
TEST_P(KeeperTest, CancelledWorkDoesNotRun) {
  Log log;
  Keeper keeper{reactor, GetParam()};
  Gate gate{keeper};
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> alive{captured};
  const Instant due = now();
  const auto first = keeper.schedule(due, [&log, captured = std::move(captured)]() -> std::optional<Instant> {
    log.add(1);
    return std::nullopt;
  });
  keeper.schedule(due, noting(log, 2));
  keeper.cancel(first);
  EXPECT_TRUE(alive.expired());
  keeper.cancel(first);
  keeper.cancel(12345);
  gate.open();
  EXPECT_TRUE(eventually(limit, [&] { return log.has(1); }));
  EXPECT_THAT(log.numbers(), ElementsAre(2));
}

// Work that is cancelled while it runs is not waited for, and does not run again although it wanted to.
TEST_P(KeeperTest, WorkCancelledWhileItRunsDoesNotRunAgain) {
  std::promise<void> entered, leave;
  std::atomic<int> runs{0};
  Log log;
  Keeper keeper{reactor, GetParam()};
  const auto ticket = keeper.schedule(now(), [&]() -> std::optional<Instant> {
    if (++runs == 1) entered.set_value();
    leave.get_future().wait();
    return now();
  });
  entered.get_future().wait();
  keeper.cancel(ticket);
  leave.set_value();
  keeper.schedule(now() + 2ms, noting(log, 1));
  EXPECT_TRUE(eventually(limit, [&] { return log.has(1); }));
  EXPECT_EQ(runs, 1);
}

// Work may use the keeper: schedule more, cancel other work, and itself.
TEST_P(KeeperTest, WorkMayUseTheKeeper) {
  Log log;
  Keeper keeper{reactor, GetParam()};
  const auto other = keeper.schedule(now() + 1h, noting(log, 1));
  std::atomic<Keeper::Ticket> own{0};
  own = keeper.schedule(now() + 1ms, [&]() -> std::optional<Instant> {
    while (own == 0) std::this_thread::yield();
    keeper.cancel(other);
    keeper.cancel(own);
    keeper.schedule(now(), noting(log, 2));
    return now();
  });
  EXPECT_TRUE(eventually(limit, [&] { return log.has(1); }));
  EXPECT_THAT(log.numbers(), ElementsAre(2));
}

// The end of a keeper runs what is due, drops the rest, and waits for what runs.
TEST_P(KeeperTest, ItsEndRunsWhatIsDue) {
  Log log;
  std::atomic<bool> finished{false};
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> alive{captured};
  {
    Keeper keeper{reactor, GetParam()};
    keeper.schedule(now() + 1h, [&log, captured = std::move(captured)]() -> std::optional<Instant> {
      log.add(1);
      return std::nullopt;
    });
    keeper.schedule(now(), [&]() -> std::optional<Instant> {
      log.add(2);
      finished = true;
      return now() + 1h;
    });
  }
  EXPECT_TRUE(finished);
  EXPECT_THAT(log.numbers(), ElementsAre(2));
  EXPECT_TRUE(alive.expired());
}

// The same for work that became due while the thread was busy with other work, which ends only when the keeper's end
// has begun.
TEST_P(KeeperTest, ItsEndRunsWhatBecameDueWhileItWasBusy) {
  Log log;
  std::promise<void> entered;
  std::atomic<bool> ending{false};
  {
    Keeper keeper{reactor, GetParam()};
    keeper.schedule(now(), [&]() -> std::optional<Instant> {
      entered.set_value();
      while (!ending) std::this_thread::yield();
      std::this_thread::sleep_for(10ms);  // gives the destructor time to begin
      log.add(1);
      return std::nullopt;
    });
    entered.get_future().wait();
    keeper.schedule(now(), noting(log, 2));
    ending = true;
  }
  EXPECT_THAT(log.numbers(), ElementsAre(1, 2));
}

// The end of a keeper comes, however eager its work is to run again: of two long pieces, whenever one has run
// the other is due. Each may be running when the end begins, and runs once more.
TEST_P(KeeperTest, ItsEndRunsWorkNoMoreThanOnce) {
  std::atomic<bool> ending{false};
  std::atomic<int> runs{0};
  {
    Keeper keeper{reactor, GetParam()};
    for (int i = 0; i < 2; ++i) {
      keeper.schedule(now(), [&]() -> std::optional<Instant> {
        if (ending) ++runs;
        std::this_thread::sleep_for(1ms);
        return runs < 100 ? std::optional{now()} : std::nullopt;
      });
    }
    ending = true;
  }
  EXPECT_LE(runs, 4);
}

// Many threads may schedule and cancel at once: what was not cancelled runs, each once.
TEST_P(KeeperTest, IsThreadSafe) {
  constexpr int threads = 4, each = 200;
  std::atomic<int> ran{0}, cancelled_ran{0};
  {
    Keeper keeper{reactor, GetParam()};
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          const auto ticket = keeper.schedule(now() + 1h, [&]() -> std::optional<Instant> {
            ++cancelled_ran;
            return std::nullopt;
          });
          keeper.schedule(now() + std::chrono::microseconds{i}, [&]() -> std::optional<Instant> {
            ++ran;
            return std::nullopt;
          });
          keeper.cancel(ticket);
        }
      });
    }
    for (auto& thread : running) thread.join();
    EXPECT_TRUE(eventually(limit, [&] { return ran == threads * each; }));
  }
  EXPECT_EQ(ran, threads * each);
  EXPECT_EQ(cancelled_ran, 0);
}

}  // namespace
}  // namespace redismutex::engine
