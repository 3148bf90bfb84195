// Locks of several independent servers: held by whoever has a majority of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <redismutex/async.hpp>
#include <redismutex/operate.hpp>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "integration/stopwatch.hpp"
#include "integration/thrown.hpp"
#include "quorum/with_quorum.hpp"
#include "support/exclusion_witness.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"

namespace redismutex {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::ChildProcess;
using ::testing::ElementsAre;
using testing::eventually;
using testing::ExclusionWitness;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::limit;
using ::testing::Lt;
using testing::patient;
using testing::Stopwatch;
using testing::thrown;
using testing::WithQuorum;

struct Quorum : WithQuorum {
  Connection connection = servers().connection();
  RedisMutex mutex{connection, patient};
};

// ---- taken, given back ----------------------------------------------------------------------------------------------

TEST_F(Quorum, IsHeldAtAMajorityAndThenAtAll) {
  Lock lock = mutex.acquire_lock("job");
  EXPECT_THAT(servers().holding("job", lock.value()), Ge(3U));
  EXPECT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  EXPECT_EQ(lock.key(), "job");
  EXPECT_GT(lock.valid_for(), 29s);
  EXPECT_EQ(lock.fencing_token(), std::nullopt);
}

TEST_F(Quorum, IsFreeForTheNextAsSoonAsItIsReleased) {
  const RedisMutex other{servers().connection(), patient};
  for (int i = 0; i < 100; ++i) {
    Lock lock = mutex.acquire_lock("job");
    EXPECT_FALSE(other.try_acquire_lock("job"));
    lock.release();
    EXPECT_FALSE(lock);
    EXPECT_TRUE(other.try_acquire_lock("job"));
  }
}

TEST_F(Quorum, IsOfThreeServersOrMore) {
  const RedisMutex of_three{servers().connection(3), patient};
  Lock lock = of_three.acquire_lock("job");
  EXPECT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 3; }));
  lock.release();
}

TEST_F(Quorum, AMutexOfTheStandardsFormWorksOnIt) {
  Mutex standard{connection, "job", patient};
  const std::lock_guard hold{standard};
  EXPECT_FALSE(mutex.try_acquire_lock("job"));
}

TEST_F(Quorum, AFunctionRunsUnderIt) {
  EXPECT_EQ(with_redismutex(
                connection, "job", [] { return 42; }, patient)(),
            42);
}

TEST_F(Quorum, ALockThatIsLeftStands) {
  Lock lock = RedisMutex{connection, {.expiry = 500ms}}.acquire_lock("job");
  const std::string id = lock.value();
  lock.leave();
  EXPECT_THAT(servers().holding("job", id), Ge(3U));
  EXPECT_FALSE(mutex.try_acquire_lock("job"));
  EXPECT_TRUE(mutex.acquire_lock("job"));
}

// Also one that was handed over in this moment, with the short leases that come with that.
TEST_F(Quorum, ALockThatIsLeftAtOnceStandsForItsWholeLease) {
  Lock lock = mutex.acquire_lock("job");
  const RedisMutex other{servers().connection(), patient};
  std::jthread next{[&] { other.acquire_lock("job").leave(); }};
  ASSERT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 5; }));
  lock.release();
  next.join();
  std::size_t long_ones = 0;
  for (testing::Server& server : servers()) long_ones += server.pttl("job") > 25'000 ? 1U : 0U;
  EXPECT_GE(long_ones, 3U);
  for (testing::Server& server : servers()) server.command({"DEL", "job"});
}

// Servers that do not answer are not waited for where a majority does.
TEST_F(Quorum, TheLabelOfALockThatIsLeftIsWrittenEverywhereAtOnce) {
  const auto is_labelled = [](testing::Server& server) { return server.exists("redismutex:about:{job}"); };
  {
    const Connection own = servers().connection(5, {.connect_timeout = 2s, .command_timeout = 2s});
    Lock lock = RedisMutex{own, {.block_time = 1s, .expiry = 60s, .label = "words"}}.acquire_lock("job");
    ASSERT_TRUE(eventually(limit, [&] { return std::all_of(servers().begin(), servers().end(), is_labelled); }));
    for (const std::size_t frozen : {1U, 3U}) servers()[frozen].pause();
    const Stopwatch watch;
    lock.leave();
    EXPECT_THAT(watch.elapsed_ms(), Lt(2'000));
  }
  for (const std::size_t there : {0U, 2U, 4U}) {
    EXPECT_TRUE(inspect(Connection{servers()[there].url()}, "job").label.value().left);
  }
  for (const std::size_t frozen : {1U, 3U}) servers()[frozen].resume();
  for (testing::Server& server : servers()) server.command({"FLUSHALL"});
}

// It waits here for the renewals at a server whose answer comes meanwhile.
TEST_F(Quorum, ALogThatTakesItsTimeHoldsUpNoRenewal) {
  const auto is_renewed = [this] {
    auto least = servers()[4].pttl("other");
    return eventually(limit, [&] {
      const auto left = servers()[4].pttl("other");
      least = std::min(least, left);
      return left > least + 100;
    });
  };
  std::atomic<int> told{0};
  std::atomic<int> renewals{0};
  const auto log = [&](std::string_view text) {
    if (text.find("write the label") == std::string_view::npos || told++ > 0) return;
    servers()[4].resume();
    // The first may have been asked for before.
    while (renewals < 3 && is_renewed()) ++renewals;
  };
  {
    const Connection own = servers().connection(5, {.log = log});
    const Lock other = RedisMutex{own, {.block_time = 1s, .expiry = 1500ms, .auto_renew = true}}.acquire_lock("other");
    Lock lock = RedisMutex{own, {.block_time = 1s, .expiry = 60s, .label = "words"}}.acquire_lock("job");
    ASSERT_TRUE(eventually(limit, [&] { return servers().holding("other", other.value()) == 5; }));
    ASSERT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
    // One refuses the label, and says so before a majority has written it.
    servers()[0].command({"ACL", "SETUSER", "default", "resetkeys", "~job", "~*other*"});
    servers()[0].command({"ACL", "LOG", "RESET"});
    for (const std::size_t late : {1U, 2U, 3U, 4U}) servers()[late].pause();
    const std::jthread later{[this] {
      EXPECT_TRUE(eventually(limit, [this] { return !servers()[0].command({"ACL", "LOG"}).elements.empty(); }));
      for (const std::size_t late : {1U, 2U, 3U}) servers()[late].resume();
    }};
    lock.leave();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(renewals, 3);
    servers()[0].command({"ACL", "SETUSER", "default", "allkeys"});
  }
  for (testing::Server& server : servers()) server.command({"FLUSHALL"});
}

TEST_F(Quorum, SeveralKeysAreHeldSideBySide) {
  std::vector<Lock> locks;
  for (int i = 0; i < 50; ++i) locks.push_back(mutex.acquire_lock("job" + std::to_string(i)));
  for (Lock& lock : locks) EXPECT_TRUE(lock.owns_lock());
}

// ---- one at a time --------------------------------------------------------------------------------------------------

TEST_F(Quorum, OneThreadIsInsideAtATime) {
  ExclusionWitness witness;
  std::vector<std::jthread> threads;
  const auto until = std::chrono::steady_clock::now() + 2s;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i, own = servers().connection()] {
      const RedisMutex contender{i % 2 == 0 ? own : connection, patient};
      while (std::chrono::steady_clock::now() < until) {
        Lock lock = contender.acquire_lock("job");
        witness.enter();
        std::this_thread::sleep_for(100us);
        witness.leave();
        lock.release();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GT(witness.entries(), 20);
}

// Those that do not wait give back what they got of a vote that was split.
TEST_F(Quorum, OneOfThoseThatTryIsInsideAtATime) {
  ExclusionWitness witness;
  std::vector<std::jthread> threads;
  const auto until = std::chrono::steady_clock::now() + 1s;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i, own = servers().connection()] {
      const RedisMutex contender{own, patient};
      while (std::chrono::steady_clock::now() < until) {
        if (const auto lock = contender.try_acquire_lock("job")) {
          witness.enter();
          witness.leave();
        } else {
          std::this_thread::sleep_for((1 + i) * 3ms);  // else they would split the votes again and again
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GT(witness.entries(), 0);
}

TEST_F(Quorum, OneProcessIsInsideAtATime) {
  ExclusionWitness witness;
  std::vector<ChildProcess> children;
  const auto until = std::chrono::steady_clock::now() + 2s;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      const RedisMutex contender{servers().connection(), patient};
      while (std::chrono::steady_clock::now() < until) {
        Lock lock = contender.acquire_lock("job");
        witness.enter();
        std::this_thread::sleep_for(100us);
        witness.leave();
        lock.release();
      }
      return 0;
    });
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.wait(2 * limit), testing::exited(0));
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GT(witness.entries(), 5);
}

// Each asks a little later than the one before, at all servers.
TEST_F(Quorum, ThoseThatWaitAreServedInTheOrderInWhichTheyAsked) {
  Lock lock = mutex.acquire_lock("job");
  std::mutex guard;
  std::vector<int> served;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&, i, own = servers().connection()] {
      Lock mine = RedisMutex{own, patient}.acquire_lock("job");
      const std::lock_guard hold{guard};
      served.push_back(i);
    });
    const std::size_t in_line = static_cast<std::size_t>(i) + 1;
    ASSERT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 5 * in_line; }));
  }
  lock.release();
  threads.clear();
  EXPECT_THAT(served, ElementsAre(0, 1, 2, 3, 4));
}

// ---- time is up, or it is cancelled ---------------------------------------------------------------------------------

TEST_F(Quorum, AWaitThatIsInVainEndsInTimeAndLeavesNothing) {
  const RedisMutex other{servers().connection(), {.block_time = 300ms}};
  const Lock lock = mutex.acquire_lock("job");
  const Stopwatch watch;
  EXPECT_THAT(thrown<BlockTimeExceedError>([&] { return other.acquire_lock("job"); }).what(),
              AllOf(HasSubstr("'job'"), HasSubstr("300 ms"), HasSubstr("quorum of")));
  EXPECT_THAT(watch.elapsed_ms(), AllOf(Ge(300), Lt(2'000)));
  EXPECT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 0; }));
  EXPECT_TRUE(lock.owns_lock());
}

TEST_F(Quorum, AWaitThatIsCancelledEndsAtOnceAndLeavesNothing) {
  const Lock lock = mutex.acquire_lock("job");
  std::stop_source stop;
  std::jthread canceller{[&] {
    EXPECT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 5; }));
    stop.request_stop();
  }};
  EXPECT_THROW(static_cast<void>(RedisMutex(servers().connection(), patient).acquire_lock("job", stop.get_token())),
               LockCancelled);
  EXPECT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 0; }));
}

TEST_F(Quorum, AtMostSoManyWait) {
  const Lock lock = mutex.acquire_lock("job");
  const RedisMutex other{servers().connection(), {.block_time = limit, .max_waiters = 1}};
  std::stop_source stop;
  std::jthread waiter{
      [&] { EXPECT_THROW(static_cast<void>(mutex.acquire_lock("job", stop.get_token())), LockCancelled); }};
  ASSERT_TRUE(eventually(limit, [&] { return servers().waiting("job") == 5; }));
  EXPECT_THAT(thrown<MutexLockError>([&] { return other.acquire_lock("job"); }).what(), HasSubstr("max_waiters"));
  stop.request_stop();
}

// ---- servers that are away ------------------------------------------------------------------------------------------

TEST_F(Quorum, AMinorityMayBeAway) {
  servers()[0].kill();
  servers()[3].kill();
  for (int i = 0; i < 20; ++i) {
    Lock lock = mutex.acquire_lock("job");
    EXPECT_EQ(servers().holding("job", lock.value()), 3U);
    lock.extend();
    lock.release();
  }
}

TEST_F(Quorum, AMinorityMayGoWhileALockIsHeld) {
  Lock lock = mutex.acquire_lock("job");
  ASSERT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  servers()[1].kill();
  servers()[2].kill();
  lock.extend();
  EXPECT_TRUE(lock.owns_lock());
  lock.release();
}

TEST_F(Quorum, WithoutAMajorityEachServersReasonIsTold) {
  for (const std::size_t away : {0U, 1U, 2U}) servers()[away].kill();
  const auto names_all = [&] {
    return AllOf(HasSubstr("'job'"), HasSubstr("3 are needed"), HasSubstr(servers()[0].socket_path() + ": "),
                 HasSubstr(servers()[1].socket_path() + ": "), HasSubstr(servers()[2].socket_path() + ": "),
                 HasSubstr("refused"));
  };
  EXPECT_THAT(thrown<ConnectionError>([&] { return mutex.try_acquire_lock("job"); }).what(), names_all());
  const Stopwatch watch;
  const RedisMutex waiting{connection, {.block_time = 500ms}};
  EXPECT_THAT(thrown<ConnectionError>([&] { return waiting.acquire_lock("job"); }).what(), names_all());
  EXPECT_THAT(watch.elapsed_ms(), AllOf(Ge(400), Lt(3'000)));
}

// A place in line at two servers would keep those out who reach three others.
TEST_F(Quorum, WithoutAMajorityNothingIsKeptOnTheOthers) {
  for (const std::size_t away : {0U, 1U, 2U}) servers()[away].kill();
  std::stop_source stop;
  std::jthread waiter{
      [&] { EXPECT_THROW(static_cast<void>(mutex.acquire_lock("job", stop.get_token())), LockCancelled); }};
  std::size_t seen_free = 0;
  EXPECT_TRUE(eventually(limit, [&] { return (seen_free += servers().keys().empty() ? 1U : 0U) >= 10; }));
  stop.request_stop();
}

TEST_F(Quorum, AMajorityThatComesBackIsWaitedFor) {
  for (const std::size_t away : {2U, 3U, 4U}) servers()[away].kill();
  std::jthread waiter{[&] { EXPECT_TRUE(mutex.acquire_lock("job").owns_lock()); }};
  std::this_thread::sleep_for(300ms);
  servers()[3].start();
}

// A frozen server is not waited for, as long as the others are a majority.
TEST_F(Quorum, AServerThatIsFrozenHoldsNobodyUp) {
  const RedisMutex of_frozen{servers().connection(5, {.connect_timeout = limit, .command_timeout = limit}), patient};
  of_frozen.acquire_lock("other").release();
  servers()[2].pause();
  const Stopwatch watch;
  Lock lock = of_frozen.acquire_lock("job");
  lock.extend();
  lock.release();
  EXPECT_THAT(watch.elapsed_ms(), Lt(5'000));
  servers()[2].resume();
}

// Nor by whoever is handed the lock after a long wait, and has not heard of that server yet.
TEST_F(Quorum, AServerThatIsFrozenHoldsNobodyUpWhoHasWaited) {
  Lock lock = mutex.acquire_lock("job");
  servers()[2].pause();
  const RedisMutex fresh{servers().connection(5, {.connect_timeout = limit, .command_timeout = limit}), patient};
  std::chrono::steady_clock::time_point inside;
  std::jthread waiter{[&] {
    const Lock mine = fresh.acquire_lock("job");
    inside = std::chrono::steady_clock::now();
  }};
  std::this_thread::sleep_for(2s);  // a long wait: what it waits for afterwards must not depend on it
  const auto released = std::chrono::steady_clock::now();
  lock.release();
  waiter.join();
  EXPECT_LT(inside - released, 1s);
  servers()[2].resume();
}

// A vote that was given on a connection which breaks is none, and whoever tries once asks for no other.
TEST_F(Quorum, ASingleTryDoesNotWaitForAVoterThatIsGone) {
  testing::Proxy first{servers()[0]}, third{servers()[2]};
  ConnectionOptions second;
  second.unix_socket = servers()[1].socket_path();
  const auto by = [&](ConnectionOptions options) {
    options.connect_timeout = options.command_timeout = limit;
    return Connection{options};
  };
  const RedisMutex trying{Connection::quorum({by(parse_url(first.url())), by(second), by(parse_url(third.url()))}),
                          patient};
  trying.acquire_lock("other").release();
  servers()[1].command({"SET", "job", "somebody's"});
  third.delay(testing::Direction::replies, 600ms);
  std::jthread cut{[&] {
    EXPECT_TRUE(eventually(limit, [&] { return servers()[0].exists("job"); }));
    std::this_thread::sleep_for(100ms);  // nothing outside tells that it has read the answer
    first.cut_all(testing::Ending::rst);
  }};
  const Stopwatch watch;
  try {
    static_cast<void>(trying.try_acquire_lock("job"));  // it may get it: the answer was lost, and it has asked again
  } catch (const ConnectionError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the connection broke"));
  }
  EXPECT_THAT(watch.elapsed_ms(), Lt(5'000));
  cut.join();
  third.pass();
  servers()[1].command({"DEL", "job"});
}

TEST_F(Quorum, AServerThatIsRestartedEmptyCostsOneVote) {
  Lock lock = mutex.acquire_lock("job");
  servers()[0].stop();
  servers()[0].start();
  EXPECT_FALSE(RedisMutex(servers().connection(), patient).try_acquire_lock("job"));
  lock.extend();
  EXPECT_TRUE(lock.owns_lock());
  lock.release();
}

// ---- leases ---------------------------------------------------------------------------------------------------------

TEST_F(Quorum, AnExtensionStartsAllLeasesAnew) {
  Lock lock = RedisMutex{connection, {.block_time = 1s, .expiry = 3s}}.acquire_lock("job");
  lock.extend(30s);
  EXPECT_GT(lock.valid_for(), 25s);
  EXPECT_TRUE(eventually(limit, [&] {
    std::size_t long_ones = 0;
    for (testing::Server& server : servers()) long_ones += server.pttl("job") > 25'000 ? 1U : 0U;
    return long_ones >= 3;
  }));
  lock.extend(1s);
  EXPECT_LE(lock.valid_for(), 1s);
}

// A lock of a bare majority becomes one of all, and then may lose what it began with.
TEST_F(Quorum, VotesThatAreCollectedCount) {
  servers()[3].kill();
  servers()[4].kill();
  Lock lock = mutex.try_acquire_lock("job").value();
  const std::stop_token lost = lock.lost_token();
  EXPECT_EQ(servers().holding("job", lock.value()), 3U);
  servers()[3].start();
  servers()[4].start();
  const auto is_at = [](std::size_t server) { return servers()[server].exists("job"); };
  EXPECT_TRUE(eventually(limit, [&] {
    lock.extend();
    return is_at(3) && is_at(4);
  }));
  EXPECT_NE(servers()[3].get("job"), lock.value()) << "its first id may have been given back there";
  lock.extend();  // the first ones stood when the others were given: so these count from now on
  for (const std::size_t first : {0U, 1U}) servers()[first].command({"DEL", "job"});
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_TRUE(lock.owns_lock());
  lock.extend();
  EXPECT_FALSE(RedisMutex(servers().connection(), patient).try_acquire_lock("job"));
  lock.release();
}

// Somebody else may have been inside when the majority was broken, and gone when the vote was given that would make up for it.
TEST_F(Quorum, AVoteThatIsCollectedIsNoHelpToALockThatWasLostBefore) {
  servers()[2].kill();
  const Options options{.block_time = 1s, .expiry = 20s};
  Lock lock = RedisMutex{servers().connection(3), options}.acquire_lock("job");
  std::this_thread::sleep_for(150ms);  // what comes at once is of the same vote
  servers()[2].start();
  servers()[1].command({"DEL", "job"});
  EXPECT_TRUE(RedisMutex(servers().connection(3), patient).acquire_lock("job"));
  ASSERT_TRUE(eventually(limit, [&] { return !servers()[2].exists("job"); }));
  servers()[1].command({"CLIENT", "PAUSE", "300", "ALL"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_EQ(lock.loss(), Loss::gone);
  EXPECT_EQ(lock.valid_for(), 0ms);
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

// The same without an extension: with the renewal that finds the vote to be missing.
TEST_F(Quorum, AVoteThatIsCollectedWithARenewalIsNoHelpEither) {
  servers()[2].kill();
  const Options options{.block_time = 1s, .expiry = 3s, .auto_renew = true};
  Lock lock = RedisMutex{servers().connection(3), options}.acquire_lock("job");
  const std::stop_token lost = lock.lost_token();
  std::this_thread::sleep_for(150ms);
  servers()[2].start();
  servers()[1].pause();  // it will not tell for a while that it has lost the key
  ASSERT_TRUE(eventually(limit, [&] { return servers()[2].exists("job"); })) << "it is collected";
  EXPECT_TRUE(lock.owns_lock()) << "as far as is known";
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); })) << "nobody says that the majority stood";
  servers()[1].resume();
}

TEST_F(Quorum, ALockIsRenewedForAsLongAsItIsHeld) {
  Lock lock = RedisMutex{connection, {.block_time = 100ms, .expiry = 300ms, .auto_renew = true}}.acquire_lock("job");
  for (const auto until = std::chrono::steady_clock::now() + 1500ms; std::chrono::steady_clock::now() < until;) {
    ASSERT_TRUE(lock.owns_lock());
    std::this_thread::sleep_for(5ms);
  }
  lock.release();
}

// Votes that are collected later, because the first ones were lost, do not last longer than the lock.
TEST_F(Quorum, ALockEndsAfterItsLongestHoldWhateverVotesWereLost) {
  const Options options{.block_time = 1s, .expiry = 600ms, .auto_renew = true, .max_hold = 4s};
  const Connection own = servers().connection(3);
  Lock lock = RedisMutex{own, options}.acquire_lock("job");
  const Stopwatch watch;
  const std::stop_token lost = lock.lost_token();
  for (const std::size_t server : {0U, 1U}) {
    std::this_thread::sleep_for(600ms);  // so that each vote is collected anew at a time of its own
    servers()[server].command({"DEL", "job"});
    EXPECT_TRUE(eventually(limit, [&] { return servers()[server].exists("job"); })) << "it is collected again";
  }
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_THAT(watch.elapsed_ms(), Lt(6'000));
}

TEST_F(Quorum, ALeaseThatIsNotRenewedEndsAndThatIsTold) {
  Lock lock = RedisMutex{connection, {.block_time = 100ms, .expiry = 200ms}}.acquire_lock("job");
  const std::stop_token lost = lock.lost_token();
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_EQ(lock.loss(), Loss::expired);
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_TRUE(eventually(limit, [] { return servers().keys().empty(); }));  // the servers' leases last a little longer
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

TEST_F(Quorum, ItIsLostWhenAMajorityHasLostIt) {
  Lock lock = mutex.acquire_lock("job");
  const std::stop_token lost = lock.lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return servers().holding("job", lock.value()) == 5; }));
  servers()[0].command({"DEL", "job"});
  servers()[1].command({"DEL", "job"});
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(lock.loss(), std::nullopt);
  servers()[2].command({"DEL", "job"});
  EXPECT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_EQ(lock.loss(), Loss::gone);
  EXPECT_FALSE(lock.owns_lock());
}

TEST_F(Quorum, AnExtensionTellsThatAMajorityHasLostIt) {
  Lock lock = mutex.acquire_lock("job");
  for (testing::Server& server : servers()) server.command({"DEL", "job"});
  EXPECT_THAT(thrown<MutexUnlockError>([&] {
                lock.extend();
                return 0;
              }).what(),
              HasSubstr("'job'"));
  EXPECT_EQ(lock.valid_for(), 0ms);
}

// Else the servers that are left would keep all others out, for as long as the Lock object is there.
TEST_F(Quorum, WhatIsLeftOfALockThatIsLostIsGivenBack) {
  const Connection own = servers().connection(3);
  Lock lock = RedisMutex{own, {.block_time = 1s, .expiry = 1s, .auto_renew = true}}.acquire_lock("job");
  const std::stop_token lost = lock.lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return servers()[2].exists("job"); }));
  servers()[0].kill();
  servers()[1].kill();
  ASSERT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_TRUE(eventually(limit, [&] { return !servers()[2].exists("job"); }));
  EXPECT_EQ(lock.loss(), Loss::expired);
  servers()[0].start();
  EXPECT_TRUE(RedisMutex(servers().connection(3), patient).acquire_lock("job"));
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

// What so many refuse for one reason that the others are no majority was refused for that reason.
TEST_F(Quorum, ARefusalOfAMajorityIsARefusal) {
  Lock lock = RedisMutex{connection, {.block_time = 1s, .expiry = 5s}}.acquire_lock("job");
  for (const std::size_t server : {0U, 1U, 2U})
    servers()[server].command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  const ServerError refusal = thrown<ServerError>([&] {
    lock.extend();
    return 0;
  });
  EXPECT_EQ(refusal.reason(), ServerError::Reason::no_replicas);
  EXPECT_THAT(refusal.what(), AllOf(HasSubstr("'job'"), HasSubstr(servers()[1].socket_path())));
  for (const std::size_t server : {0U, 1U, 2U})
    servers()[server].command({"CONFIG", "SET", "min-replicas-to-write", "0"});
}

TEST_F(Quorum, AReleaseTellsThatAMajorityHasLostIt) {
  Lock lock = mutex.acquire_lock("job");
  for (testing::Server& server : servers()) server.command({"DEL", "job"});
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

// ---- fencing tokens -------------------------------------------------------------------------------------------------

TEST_F(Quorum, TokensRise) {
  std::uint64_t last = 0;
  ExclusionWitness witness;
  std::vector<std::jthread> threads;
  const auto until = std::chrono::steady_clock::now() + 1s;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i, own = servers().connection()] {
      Options options = patient;
      options.fencing = true;
      const RedisMutex contender{own, options};
      while (std::chrono::steady_clock::now() < until) {
        Lock lock = contender.acquire_lock("job");
        witness.enter();
        EXPECT_GT(lock.fencing_token().value_or(0), std::exchange(last, lock.fencing_token().value_or(0)));
        witness.leave();
        lock.release();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GT(witness.entries(), 5);
}

// The servers' clocks need not agree: one that is ahead is outvoted by none, because a majority knows the token before it is used.
TEST_F(Quorum, AMajorityKnowsATokenBeforeItIsUsed) {
  Options options = patient;
  options.fencing = true;
  const RedisMutex fenced{connection, options};
  const std::string ahead = std::to_string(2'000'000'000'000'000);
  servers()[1].command({"SET", "redismutex:floor:{job}", ahead, "PX", "60000"});
  std::optional<Lock> lock;
  // Once the server's vote is among those that count.
  EXPECT_TRUE(eventually(limit, [&] {
    lock.reset();
    lock.emplace(fenced.acquire_lock("job"));
    return lock->fencing_token().value_or(0) > 2'000'000'000'000'000;
  }));
  std::size_t knowing = 0;
  for (testing::Server& server : servers()) {
    const auto floor = server.get("redismutex:floor:{job}");
    knowing += floor && std::stoull(*floor) >= lock->fencing_token() ? 1U : 0U;
  }
  EXPECT_THAT(knowing, Ge(3U));
}

// ---- what a quorum is not -------------------------------------------------------------------------------------------

TEST_F(Quorum, IsOfAnOddNumberOfDifferentSingleServers) {
  const auto refusal = [](std::vector<std::string> urls) {
    std::vector<Connection> connections;
    for (const std::string& url : urls) connections.emplace_back(url);
    return std::string{thrown<std::invalid_argument>([&] { return Connection::quorum(connections); }).what()};
  };
  EXPECT_THAT(refusal({}), HasSubstr("0 servers"));
  EXPECT_THAT(refusal({"redis://a"}), HasSubstr("at least 3"));
  EXPECT_THAT(refusal({"redis://a", "redis://b", "redis://c", "redis://d"}), HasSubstr("odd number"));
  EXPECT_THAT(refusal({"redis://a", "redis://b", "redis://a:6379/1"}), HasSubstr("redis://a"));
  EXPECT_THAT(refusal({"redis://a", "unix:///s", "unix:///s"}), HasSubstr("twice"));
  EXPECT_THAT(refusal({"redis://a", "redis://b", "redis+cluster://c"}), HasSubstr("cluster"));
  EXPECT_THAT(refusal({"redis://a", "redis://b", "redis+sentinel://c/m"}), HasSubstr("sentinels"));
  EXPECT_THAT(thrown<std::invalid_argument>([] {
                const Connection three =
                    Connection::quorum({Connection{"redis://a"}, Connection{"redis://b"}, Connection{"redis://c"}});
                return Connection::quorum({three, Connection{"redis://d"}, Connection{"redis://e"}});
              }).what(),
              HasSubstr("quorum"));
}

TEST_F(Quorum, IsNotAskedWhatOnlyAServerCanSay) {
  EXPECT_THAT(thrown<std::invalid_argument>([&] {
                connection.ping();
                return 0;
              }).what(),
              HasSubstr("quorum"));
  EXPECT_THROW(static_cast<void>(inspect(connection, "job")), std::invalid_argument);
  EXPECT_THROW(RedisMutex(connection, {.replicas = 1}), std::invalid_argument);
  EXPECT_THROW((AsyncMutex{connection, {.replicas = 1}}), std::invalid_argument);
}

// ---- fork -----------------------------------------------------------------------------------------------------------

TEST_F(Quorum, AChildDoesNotHoldItsParentsLock) {
  Lock lock = mutex.acquire_lock("job");
  ChildProcess child{[&] {
    if (lock.owns_lock() || !lock.lost_token().stop_requested()) return 1;
    try {
      lock.release();
    } catch (const MutexUnlockError&) {
      return mutex.try_acquire_lock("job") || !mutex.acquire_lock("another") ? 2 : 0;
    }
    return 3;
  }};
  EXPECT_EQ(child.wait(2 * limit), testing::exited(0));
  EXPECT_TRUE(lock.owns_lock());
  lock.release();
}

}  // namespace
}  // namespace redismutex
