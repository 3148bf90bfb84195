// What the library promises whatever a Connection leads to, and however it is driven. A new kind of place (places.hpp) or
// driver (drivers.hpp) is a row there, and keeps every promise here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <ostream>
#include <thread>

#include "drivers.hpp"
#include "places.hpp"
#include "stopwatch.hpp"
#include "support/eventually.hpp"
#include "support/exclusion_witness.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Row {
  const KindOfPlace* kind;
  const Driver* driver;

  std::string name() const { return kind->name + driver->name(); }
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name(); }

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const KindOfPlace& kind : kinds_of_place()) {
    for (const Driver* driver : drivers()) rows.push_back({.kind = &kind, .driver = driver});
  }
  return rows;
}

struct Conformance : ::testing::TestWithParam<Row> {
  static constexpr auto key = "key";

  const Driver& driver = *GetParam().driver;
  const std::unique_ptr<Place> place = GetParam().kind->make();
  const Connection connection = place->connect();
  const Connection another = place->connect();  // as of another process

  std::unique_ptr<Taken> acquire(const Options& options = patient) const {
    return driver.acquire(connection, options, key);
  }

  /// From another connection, in a thread of its own.
  std::future<std::unique_ptr<Taken>> wait(const Options& options = patient) const {
    return std::async(std::launch::async, [this, options] { return driver.acquire(another, options, key); });
  }

  bool becomes_free() {
    return eventually(limit, [this] { return !place->stored(key); });
  }

  bool somebody_waits(int count = 1) {
    return eventually(limit, [&] { return place->waiting(key) == count; });
  }

  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [this] { return place->keys().empty(); })) << ::testing::PrintToString(place->keys());
  }
};

INSTANTIATE_TEST_SUITE_P(Each, Conformance, ::testing::ValuesIn(all_rows()),
                         [](const auto& each) { return each.param.name(); });

// ---- one owner ------------------------------------------------------------------------------------------------------

TEST_P(Conformance, TheOwnersIdStandsAtTheKey) {
  const auto lock = acquire();
  EXPECT_EQ(lock->key(), key);
  EXPECT_EQ(place->stored(key), lock->value());
  EXPECT_GT(lock->valid_for(), *patient.expiry - limit);
  EXPECT_FALSE(lock->lost_token().stop_requested());
}

TEST_P(Conformance, ReleaseFreesTheKey) {
  const auto lock = acquire();
  lock->release();
  EXPECT_FALSE(place->stored(key));
  EXPECT_EQ(lock->value(), "");
  EXPECT_EQ(lock->valid_for(), 0ms);
  EXPECT_THROW(lock->release(), MutexUnlockError);
}

TEST_P(Conformance, TheEndOfTheLockFreesTheKey) {
  acquire().reset();
  EXPECT_FALSE(place->stored(key));
}

TEST_P(Conformance, ATakenLockIsNotTaken) {
  const auto lock = acquire();
  for (const Connection& asking : {connection, another}) {
    EXPECT_FALSE(driver.try_acquire(asking, patient, key));
    const auto error = thrown<MutexLockError>([&] { return driver.acquire(asking, non_blocking, key); });
    EXPECT_THAT(error.what(), HasSubstr("'key'"));
  }
  EXPECT_EQ(place->stored(key), lock->value());
}

TEST_P(Conformance, OtherClientsOfThePatternAndWeKeepEachOtherOut) {
  ASSERT_TRUE(place->take(key, "theirs", 60s));
  EXPECT_FALSE(driver.try_acquire(connection, patient, key));
  EXPECT_EQ(place->stored(key), "theirs");
  place->remove(key);
  const auto lock = acquire();
  EXPECT_FALSE(place->take(key, "theirs", 60s));
}

TEST_P(Conformance, OneAtATime) {
  constexpr int threads = 4, turns = 25;
  ExclusionWitness witness;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] {
        for (int turn = 0; turn < turns; ++turn) {
          const auto lock = driver.acquire(i % 2 == 0 ? connection : another, patient, key);
          witness.enter();
          witness.leave();
        }
      });
    }
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// ---- waiting --------------------------------------------------------------------------------------------------------

TEST_P(Conformance, AReleaseLetsTheNextOneIn) {
  auto lock = acquire();
  auto next = wait();
  EXPECT_TRUE(somebody_waits());
  lock->release();
  ASSERT_EQ(next.wait_for(limit), std::future_status::ready);
  EXPECT_EQ(place->stored(key), next.get()->value());
}

TEST_P(Conformance, FirstComeFirstServed) {
  constexpr int waiters = 4;
  auto lock = acquire();
  std::vector<int> order;  // written by one at a time
  std::vector<Connection> connections;
  for (int i = 0; i < waiters; ++i) connections.push_back(place->connect());
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < waiters; ++i) {
      all.emplace_back([&, i] {
        const auto held = driver.acquire(connections[static_cast<std::size_t>(i)], patient, key);
        order.push_back(i);
      });
      ASSERT_TRUE(somebody_waits(i + 1));
    }
    lock->release();
  }
  EXPECT_THAT(order, ::testing::ElementsAre(0, 1, 2, 3));
}

TEST_P(Conformance, TheBlockTimeIsKept) {
  const auto lock = acquire();
  driver.acquire(another, patient, "another key");  // so that it is connected
  constexpr auto block_time = 250ms;
  const Options options{.block_time = block_time, .delay = 10ms, .expiry = limit};
  const auto late = best_ms(20, [&] {
    const Stopwatch watch;
    EXPECT_THROW(driver.acquire(another, options, key), BlockTimeExceedError);
    EXPECT_GE(watch.elapsed_ms(), block_time.count());
    return watch.elapsed_ms() - block_time.count();
  });
  EXPECT_LE(late, 20);
  EXPECT_FALSE(driver.try_acquire(another, patient, key, block_time));
}

TEST_P(Conformance, AWaitCanBeCancelled) {
  const auto lock = acquire();
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    thrown<LockCancelled>([&] { return driver.acquire(another, patient, key, stop.get_token()); });
  });
  EXPECT_TRUE(somebody_waits());
  stop.request_stop();
  EXPECT_EQ(waiting.wait_for(limit), std::future_status::ready);
  waiting.get();
  EXPECT_TRUE(eventually(limit, [&] { return place->waiting(key) == 0; }));
}

TEST_P(Conformance, ADeadOwnersLockIsFreeWhenItsLeaseEnds) {
  ASSERT_TRUE(place->take(key, "of a process that died", 200ms));
  const Stopwatch watch;
  const auto lock = acquire();
  EXPECT_GE(watch.elapsed_ms(), 150);
}

TEST_P(Conformance, AtMostSoManyWait) {
  const auto lock = acquire();
  auto first = wait();
  EXPECT_TRUE(somebody_waits());
  Options choosy = patient;
  choosy.max_waiters = 1;
  const Connection third = place->connect();
  EXPECT_THAT(thrown<MutexLockError>([&] { return driver.acquire(third, choosy, key); }).what(),
              HasSubstr("max_waiters"));
  lock->release();
  first.get();
}

// ---- leases ---------------------------------------------------------------------------------------------------------

TEST_P(Conformance, AnExtensionStartsTheLeaseAnew) {
  const auto lock = acquire({.blocking = false, .expiry = limit});
  lock->extend(4 * limit);
  EXPECT_GT(lock->valid_for(), 2 * limit);
}

TEST_P(Conformance, ARenewedLeaseDoesNotEnd) {
  const auto lock = acquire({.blocking = false, .expiry = 1s, .auto_renew = true});
  const Stopwatch watch;
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 2000; }));
  EXPECT_EQ(place->stored(key), lock->value());
  EXPECT_FALSE(lock->lost_token().stop_requested());
}

TEST_P(Conformance, TheEndOfALeaseIsTold) {
  const auto lock = acquire({.blocking = false, .expiry = 100ms});
  const std::stop_token lost = lock->lost_token();
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_EQ(lock->valid_for(), 0ms);
  EXPECT_TRUE(becomes_free());
  EXPECT_THROW(lock->extend(1s), MutexUnlockError);
  EXPECT_THROW(lock->release(), MutexUnlockError);
}

TEST_P(Conformance, ADeletionIsTold) {
  const auto lock = acquire();
  const std::stop_token lost = lock->lost_token();
  // The key is watched a moment after somebody wants to be told.
  EXPECT_TRUE(eventually(limit, [&] {
    place->take(key, "theirs", 60s);
    place->remove(key);
    return lost.stop_requested();
  }));
  EXPECT_THROW(lock->release(), MutexUnlockError);
}

TEST_P(Conformance, NobodyReleasesAnothersLock) {
  const auto lock = acquire();
  place->remove(key);
  ASSERT_TRUE(place->take(key, "theirs", 60s));
  EXPECT_THROW(lock->release(), MutexUnlockError);
  EXPECT_EQ(place->stored(key), "theirs");
  place->remove(key);
}

TEST_P(Conformance, TokensRise) {
  Options fenced = patient;
  fenced.fencing = true;
  std::uint64_t last = 0;
  for (int i = 0; i < 6; ++i) {
    const auto lock = driver.acquire(i % 2 == 0 ? connection : another, fenced, key);
    ASSERT_TRUE(lock->fencing_token());
    EXPECT_GT(*lock->fencing_token(), last);
    last = *lock->fencing_token();
  }
  EXPECT_FALSE(acquire()->fencing_token());
  for (const std::string& left : place->keys()) place->remove(left);  // the floor of the tokens, for a minute
}

// ---- trouble --------------------------------------------------------------------------------------------------------

TEST_P(Conformance, ACutConnectionHeals) {
  const auto lock = acquire();
  auto next = wait();
  EXPECT_TRUE(somebody_waits());
  place->cut_connections();
  EXPECT_EQ(place->stored(key), lock->value());
  lock->release();
  ASSERT_EQ(next.wait_for(limit), std::future_status::ready);
  EXPECT_EQ(place->stored(key), next.get()->value());
}

TEST_P(Conformance, BadInputIsRefusedBeforeAnythingIsSent) {
  EXPECT_THROW(driver.acquire(connection, patient, ""), std::invalid_argument);
  EXPECT_THROW(driver.acquire(connection, patient, "redismutex:{x}"), std::invalid_argument);
  EXPECT_THROW(driver.acquire(connection, {.block_time = 2s, .expiry = 1s}, key), std::invalid_argument);
  EXPECT_THROW(driver.acquire(connection, {.delay = -1ms}, key), std::invalid_argument);
}

}  // namespace
}  // namespace redismutex::testing
