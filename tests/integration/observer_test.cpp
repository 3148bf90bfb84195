// What a Connection tells: the events of ConnectionOptions::observer, and the sentences of ConnectionOptions::log.

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/async.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "contender.hpp"
#include "events.hpp"
#include "fake_server.hpp"
#include "sentences.hpp"
#include "support/process.hpp"
#include "support/slow_loop.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// The same, as one of several that an Observer tells apart.
Options named(Options options) {
  options.name = "imports";
  return options;
}

struct ObserverTest : WithServer {
  const std::shared_ptr<Events> events = std::make_shared<Events>();

  RedisMutex observed_mutex(const Options& options) const {
    return RedisMutex{observed(server.url(), events), named(options)};
  }

  /// The same with short time limits, for what is to fail.
  RedisMutex impatient_mutex(const Options& options) const {
    ConnectionOptions connecting = with({.connect = 100ms, .command = 100ms}, parse_url(server.url()));
    connecting.observer = events;
    return RedisMutex{Connection{connecting}, named(options)};
  }

  bool becomes(const std::function<bool(const Events::All&)>& condition) const {
    return eventually(limit, [&] { return condition(events->all()); });
  }

  /// The number of attempts is one more than before, and that one has ended so.
  void expect_attempt(AttemptEnded::Outcome outcome) {
    const auto all = events->all();
    ASSERT_EQ(all.attempts.size(), ++attempts_);
    EXPECT_EQ(all.attempts.back().detail.outcome, outcome);
    EXPECT_EQ(all.attempts.back().mutex, "imports");
    EXPECT_EQ(all.attempts.back().key, "key");
    EXPECT_GT(all.attempts.back().detail.waited, 0ns);
  }

  /// There was one hold, and it has ended so.
  void expect_hold(HoldEnded::Outcome outcome) const {
    const auto all = events->all();
    ASSERT_EQ(all.holds.size(), 1U);
    EXPECT_EQ(all.holds[0].detail.outcome, outcome);
    EXPECT_EQ(all.holds[0].mutex, "imports");
    EXPECT_EQ(all.holds[0].key, "key");
    EXPECT_GT(all.holds[0].detail.held, 0ns);
  }

  /// There was one loss, for this reason. It may be told after the hold has ended, by another thread.
  void expect_loss(Loss why) const {
    EXPECT_TRUE(becomes([](const auto& all) { return !all.losses.empty(); }));
    const auto all = events->all();
    ASSERT_EQ(all.losses.size(), 1U);
    EXPECT_EQ(all.losses[0].detail.why, why);
    EXPECT_EQ(all.losses[0].mutex, "imports");
    EXPECT_EQ(all.losses[0].key, "key");
  }

 private:
  std::size_t attempts_ = 0;
};

// ---- attempts -------------------------------------------------------------------------------------------------------

using Attempt = AttemptEnded::Outcome;

TEST_F(ObserverTest, AnAttemptFindsTheLockFree) {
  const RedisMutex mutex = observed_mutex(patient);
  const auto lock = mutex.acquire_lock("key");
  expect_attempt(Attempt::free);
  EXPECT_THAT(events->all().waits, IsEmpty());
}

TEST_F(ObserverTest, AnAttemptIsHandedTheLock) {
  const RedisMutex mutex = observed_mutex(sleepy);
  auto others = RedisMutex{connection, patient}.acquire_lock("key");
  auto waiting = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  ASSERT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
  others.release();
  const auto lock = waiting.get();
  expect_attempt(Attempt::handed_over);
  const auto attempt = events->all().attempts.back().detail;
  ASSERT_TRUE(attempt.handover_delay);
  EXPECT_LE(*attempt.handover_delay, attempt.waited);
  EXPECT_EQ(attempt.claims_lost, 0u);
  const auto waits = events->all().waits;
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_EQ(waits[0].mutex, "imports");
  EXPECT_EQ(waits[0].key, "key");
}

TEST_F(ObserverTest, AnAttemptIsPassedTheLock) {
  const RedisMutex mutex = observed_mutex(patient);
  auto first = mutex.acquire_lock("key");
  expect_attempt(Attempt::free);
  auto waiting = std::async(std::launch::async, [&] { return mutex.acquire_lock("key"); });
  ASSERT_TRUE(becomes([](const auto& all) { return all.waits.size() == 1; }));
  first.release();
  const auto lock = waiting.get();
  expect_attempt(Attempt::passed);
}

TEST_F(ObserverTest, AnAttemptFindsTheLockTaken) {
  const auto others = RedisMutex{connection, patient}.acquire_lock("key");
  EXPECT_FALSE(observed_mutex(patient).try_acquire_lock("key"));
  expect_attempt(Attempt::taken);
  EXPECT_THROW((void)observed_mutex(non_blocking).acquire_lock("key"), MutexLockError);
  expect_attempt(Attempt::taken);
  EXPECT_THAT(events->all().waits, IsEmpty()) << "nobody waits";
}

TEST_F(ObserverTest, AnAttemptTakesTooLong) {
  const auto others = RedisMutex{connection, patient}.acquire_lock("key");
  EXPECT_FALSE(observed_mutex(patient).try_acquire_lock_for("key", 50ms));
  expect_attempt(Attempt::timed_out);
  EXPECT_GE(events->all().attempts.back().detail.waited, 50ms);
  EXPECT_THROW((void)observed_mutex({.block_time = 50ms}).acquire_lock("key"), BlockTimeExceedError);
  expect_attempt(Attempt::timed_out);
  EXPECT_EQ(events->all().waits.size(), 2U);
}

TEST_F(ObserverTest, AnAttemptIsCancelled) {
  const auto others = RedisMutex{connection, patient}.acquire_lock("key");
  const RedisMutex mutex = observed_mutex(patient);
  std::stop_source stop;
  auto waiting = std::async(
      std::launch::async, [&] { thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); }); });
  ASSERT_TRUE(becomes([](const auto& all) { return all.waits.size() == 1; }));
  stop.request_stop();
  waiting.get();
  expect_attempt(Attempt::cancelled);
}

TEST_F(ObserverTest, AnAttemptFindsTheQueueFull) {
  auto others = RedisMutex{connection, patient}.acquire_lock("key");
  const Connection third{server.url()};
  auto waiting = std::async(std::launch::async, [&] { return RedisMutex{third, patient}.acquire_lock("key").key(); });
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
  Options one = patient;
  one.max_waiters = 1;
  EXPECT_THROW((void)observed_mutex(one).acquire_lock("key"), MutexLockError);
  expect_attempt(Attempt::queue_full);
  others.release();
  waiting.get();
}

TEST_F(ObserverTest, AnAttemptFails) {
  server.command({"RPUSH", "key", "no lock"});
  EXPECT_THROW((void)observed_mutex(patient).acquire_lock("key"), ServerError);
  expect_attempt(Attempt::error);
  server.command({"DEL", "key"});
  const RedisMutex mutex = impatient_mutex({.blocking = false});
  server.pause();
  EXPECT_THROW((void)mutex.try_acquire_lock("key"), ConnectionError);
  server.resume();
  expect_attempt(Attempt::error);
}

// ---- the end of a lock ----------------------------------------------------------------------------------------------

using Hold = HoldEnded::Outcome;

TEST_F(ObserverTest, AHoldEndsWithARelease) {
  const RedisMutex mutex = observed_mutex(patient);
  auto lock = mutex.acquire_lock("key");
  std::this_thread::sleep_for(10ms);
  EXPECT_THAT(events->all().holds, IsEmpty());
  lock.release();
  expect_hold(Hold::released);
  EXPECT_GE(events->all().holds[0].detail.held, 10ms);
  EXPECT_THAT(events->all().losses, IsEmpty());
}

TEST_F(ObserverTest, AHoldEndsWithTheLock) {
  { const auto lock = observed_mutex(patient).acquire_lock("key"); }
  expect_hold(Hold::released);
}

// A lease that simply ends is told as that, whoever finds it out: the renewer, for whom somebody listens, or the release.
TEST_F(ObserverTest, AHoldEndsWithItsLease) {
  const RedisMutex mutex = observed_mutex({.blocking = false, .expiry = 100ms});
  std::optional<Lock> lock;
  ASSERT_TRUE(eventually(limit, [&] { return (lock = mutex.try_acquire_lock("key")).has_value(); }));
  ASSERT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  EXPECT_THROW(lock->release(), MutexUnlockError);
  expect_hold(Hold::expired);
  expect_loss(Loss::expired);
}

TEST_F(ObserverTest, AHoldEndsWhenTheLockIsGone) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_hold(Hold::gone);
  expect_loss(Loss::gone);
}

TEST_F(ObserverTest, AHoldEndsWhenTheLockIsAnothers) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  {
    const auto lock = mutex.acquire_lock("key");
    server.command({"SET", "key", "other"});
  }
  expect_hold(Hold::gone);
  expect_loss(Loss::gone);
  server.command({"DEL", "key"});
}

TEST_F(ObserverTest, AHoldEndsWithoutAnAnswer) {
  const RedisMutex mutex = impatient_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  server.pause();
  EXPECT_THROW(lock.release(), ConnectionError);
  expect_hold(Hold::unknown);
  server.resume();
  EXPECT_THAT(events->all().losses, IsEmpty());
}

TEST_F(ObserverTest, AHoldEndsByLeavingTheLock) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  lock.leave();
  expect_hold(Hold::left);
  EXPECT_THAT(events->all().losses, IsEmpty());
  server.command({"DEL", "key"});
}

// In a child of fork(): what its parent holds ends there without having been held.
TEST_F(ObserverTest, AHoldIsAbandonedInAChild) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  std::optional<Lock> lock = mutex.acquire_lock("key");
  ASSERT_TRUE(becomes([](const auto& all) { return all.connected.size() == 1; })) << "nobody is in the Observer";
  const ChildProcess child{[&] {
    lock.reset();
    const auto holds = events->all().holds;
    return holds.size() == 1 && holds[0].detail.outcome == Hold::abandoned && holds[0].detail.held == 0ns &&
                   holds[0].mutex == "imports" && holds[0].key == "key"
               ? 0
               : 1;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_THAT(events->all().holds, IsEmpty());
  lock->release();
  expect_hold(Hold::released);
}

// ---- the balance ----------------------------------------------------------------------------------------------------

// Whatever happens, each attempt ends once, and each lock that was acquired ends once: what is held at any moment is the difference.
TEST_F(ObserverTest, EndsAreInBalance) {
  constexpr int workers = 4, rounds = 600;
  const RedisMutex mutex{observed(server.url(), events),
                         named({.block_time = 200ms, .delay = 20ms, .expiry = 400ms, .max_waiters = 2})};
  std::atomic<long> attempts = 0;
  {
    std::jthread faults{[&](const std::stop_token& stop) {
      for (int i = 0; !stop.stop_requested(); ++i) {
        std::this_thread::sleep_for(20ms);
        if (i % 3 == 0) server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
        if (i % 3 == 1) server.command({"DEL", "one", "two"});
        if (i % 15 == 2) server.command({"CLIENT", "PAUSE", "50"});
      }
    }};
    std::vector<std::jthread> threads;
    for (int worker = 0; worker < workers; ++worker) {
      threads.emplace_back([&, worker] {
        for (int i = 0; i < rounds; ++i) {
          ++attempts;
          try {
            const auto lock = mutex.try_acquire_lock_for((i + worker) % 3 == 0 ? "two" : "one", (i % 4) * 10ms + 1ms);
          } catch (const Error&) {  // told, too
          }
        }
      });
    }
    threads.clear();
  }
  const auto all = events->all();
  EXPECT_EQ(static_cast<long>(all.attempts.size()), attempts);
  EXPECT_EQ(static_cast<long>(all.holds.size()), all.acquired());
  EXPECT_GT(all.acquired(), rounds);
  const long lost = all.count(Hold::gone) + all.count(Hold::expired);
  EXPECT_TRUE(becomes([lost](const auto& later) { return static_cast<long>(later.losses.size()) >= lost; }));
  EXPECT_GE(all.acquired(), static_cast<long>(events->all().losses.size()));
  for (const auto& hold : all.holds) EXPECT_EQ(hold.mutex, "imports");
}

// ---- while a lock is held -------------------------------------------------------------------------------------------

// By whichever way it becomes known, once.
TEST_F(ObserverTest, ALossIsToldOnce) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  const auto token = lock.lost_token();
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  expect_loss(Loss::gone);
  expect_hold(Hold::gone);
}

// Nobody has done anything with it: the Observer itself is one who listens.
TEST_F(ObserverTest, ALossIsToldWhenTheLeaseEnds) {
  const RedisMutex mutex = observed_mutex({.blocking = false, .expiry = 100ms});
  std::optional<Lock> lock;
  ASSERT_TRUE(eventually(limit, [&] { return (lock = mutex.try_acquire_lock("key")).has_value(); }));
  expect_loss(Loss::expired);
}

TEST_F(ObserverTest, ARenewalIsTold) {
  const RedisMutex mutex = observed_mutex({.blocking = false, .expiry = 1s, .auto_renew = true});
  const auto lock = mutex.acquire_lock("key");
  ASSERT_TRUE(becomes([](const auto& all) { return !all.renewals.empty(); }));
  const auto renewal = events->all().renewals[0];
  EXPECT_EQ(renewal.mutex, "imports");
  EXPECT_EQ(renewal.key, "key");
  EXPECT_EQ(renewal.detail.waiting, 0);
  EXPECT_GT(renewal.detail.valid_for, 0ms);
  EXPECT_LT(renewal.detail.valid_for, 1s);
}

TEST_F(ObserverTest, ARenewalTellsHowManyWait) {
  const RedisMutex mutex = observed_mutex({.blocking = false, .expiry = 600ms, .auto_renew = true});
  auto lock = mutex.acquire_lock("key");
  std::vector<std::future<std::string>> waiting;
  std::vector<Connection> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back(server.url());
    waiting.push_back(std::async(std::launch::async, [other = others.back()] {
      return RedisMutex{other, patient}.acquire_lock("key").key();
    }));
  }
  EXPECT_TRUE(
      becomes([](const auto& all) { return !all.renewals.empty() && all.renewals.back().detail.waiting == 2; }));
  lock.release();
  for (auto& one : waiting) one.get();
}

TEST_F(ObserverTest, AnExtensionIsToldInTheCallersThread) {
  const RedisMutex mutex = observed_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  EXPECT_THAT(events->all().renewals, IsEmpty());
  lock.extend(20s);
  const auto renewals = events->all().renewals;
  ASSERT_EQ(renewals.size(), 1U);
  EXPECT_EQ(renewals[0].mutex, "imports");
  EXPECT_EQ(renewals[0].key, "key");
  EXPECT_EQ(renewals[0].detail.waiting, 0);
  EXPECT_LE(renewals[0].detail.valid_for, 20s);
  EXPECT_GT(renewals[0].detail.valid_for, 20s - limit);
}

TEST_F(ObserverTest, AFailedRenewalIsTold) {
  const RedisMutex mutex = impatient_mutex({.blocking = false, .expiry = 2s, .auto_renew = true});
  const auto one = mutex.acquire_lock("one"), two = mutex.acquire_lock("two");
  ASSERT_TRUE(becomes([](const auto& all) { return all.renewals.size() >= 2; }));
  server.pause();
  EXPECT_TRUE(becomes([](const auto& all) {
    long leases = 0;
    for (const auto& failure : all.failures) leases += static_cast<long>(failure.leases);
    return leases >= 2;
  }));
  server.resume();
  const auto failures = events->all().failures;
  ASSERT_FALSE(failures.empty());
  for (const auto& failure : failures) EXPECT_THAT(failure.reason, Not(IsEmpty()));
}

// ---- connections ----------------------------------------------------------------------------------------------------

TEST_F(ObserverTest, ConnectionsAreTold) {
  const auto watched = observed(server.url(), events);
  watched.ping();
  ASSERT_TRUE(becomes([](const auto& all) { return all.connected.size() == 1; }));
  EXPECT_FALSE(events->all().connected[0].again);
  EXPECT_THAT(events->all().connected[0].server, HasSubstr(server.socket_path()));
  EXPECT_THAT(events->all().disconnected, IsEmpty());
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  watched.ping();
  ASSERT_TRUE(becomes([](const auto& all) { return all.connected.size() == 2 && all.disconnected.size() == 1; }));
  EXPECT_TRUE(events->all().connected[1].again);
  EXPECT_THAT(events->all().disconnected[0].server, HasSubstr(server.socket_path()));
  EXPECT_THAT(events->all().disconnected[0].reason, Not(IsEmpty()));
  EXPECT_THAT(events->all().connect_failed, IsEmpty());
}

TEST_F(ObserverTest, FailedConnectionsAreTold) {
  const RedisMutex mutex = impatient_mutex(non_blocking);
  server.kill();
  const auto error = thrown<ConnectionError>([&] { return mutex.try_acquire_lock("key"); });
  ASSERT_TRUE(becomes([](const auto& all) { return !all.connect_failed.empty(); }));
  const auto failed = events->all().connect_failed[0];
  EXPECT_THAT(failed.server, HasSubstr(server.socket_path()));
  EXPECT_THAT(error.what(), HasSubstr(failed.reason));
  EXPECT_THAT(events->all().connected, IsEmpty());
  server.start();
}

TEST_F(ObserverTest, AnsweredRequestsAreTold) {
  const auto watched = observed(server.url(), events);
  for (int i = 0; i < 3; ++i) watched.ping();
  const auto all = events->all();
  EXPECT_EQ(all.answered.size(), 3U);
  for (const auto& answer : all.answered) EXPECT_THAT(answer.server, HasSubstr(server.socket_path()));
}

TEST_F(ObserverTest, AnsweredRequestsAreOfAKind) {
  using Kind = RequestAnswered::Kind;
  const auto kinds = [&] {
    std::vector<Kind> kinds;
    for (const auto& answer : events->all().answered) kinds.push_back(answer.kind);
    // A script that the server does not know yet is asked for twice.
    kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
    return kinds;
  };
  const RedisMutex mutex = observed_mutex(non_blocking);
  auto lock = mutex.acquire_lock("key");
  EXPECT_THAT(kinds(), ElementsAre(Kind::acquire));
  lock.extend();
  EXPECT_THAT(kinds(), ElementsAre(Kind::acquire, Kind::extend));
  lock.release();
  EXPECT_THAT(kinds(), ElementsAre(Kind::acquire, Kind::extend, Kind::release));
  auto others = RedisMutex{connection, patient}.acquire_lock("key");
  const RedisMutex waiting = observed_mutex({.block_time = 100ms, .delay = 10ms, .expiry = 10s});
  EXPECT_THROW(waiting.acquire_lock("key"), BlockTimeExceedError);
  EXPECT_THAT(kinds(), Contains(Kind::line_up));
  Options fenced = non_blocking;
  fenced.fencing = true;
  const std::size_t before = kinds().size();
  EXPECT_THROW(observed_mutex(fenced).acquire_lock("key"), MutexLockError);
  const auto after = kinds();
  EXPECT_THAT((std::vector<Kind>{after.begin() + static_cast<std::ptrdiff_t>(before), after.end()}),
              Each(Kind::acquire));
}

// ---- the log --------------------------------------------------------------------------------------------------------

struct LogTest : WithServer {
  const std::shared_ptr<Sentences> notes = std::make_shared<Sentences>();

  Connection logged(std::string_view url) const {
    ConnectionOptions options = parse_url(url);
    options.log = written_to(notes);
    return Connection{options};
  }
};

// A good server: nothing to say. The question whether it is one was asked, once.
TEST_F(LogTest, IsSilentAboutAGoodServer) {
  const RedisMutex mutex{logged(server.url()), non_blocking};
  for (int i = 0; i < 3; ++i) (void)mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return server.command_calls().contains("info"); }));
  EXPECT_THAT(notes->all(), IsEmpty());
}

TEST_F(LogTest, IsNotAskedForByDefault) {
  (void)RedisMutex{connection, non_blocking}.acquire_lock("key");
  EXPECT_FALSE(server.command_calls().contains("info"));
}

TEST_F(LogTest, WarnsOfEviction) {
  server.command({"CONFIG", "SET", "maxmemory", "1gb"});
  server.command({"CONFIG", "SET", "maxmemory-policy", "volatile-lru"});
  const RedisMutex mutex{logged(server.url()), non_blocking};
  for (int i = 0; i < 3; ++i) (void)mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return !notes->all().empty(); }));
  EXPECT_THAT(notes->all(), ElementsAre(AllOf(HasSubstr(server.url()), HasSubstr("volatile-lru"),
                                              HasSubstr("set maxmemory-policy to noeviction"))));
}

TEST_F(LogTest, WarnsOfReplicasWithoutPersistence) {
  Server primary({.tcp = true}), replica({.tcp = true});
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(primary.port())});
  ASSERT_TRUE(eventually(limit, [&] { return primary.info("replication")["connected_slaves"] == "1"; }));
  const RedisMutex mutex{logged(primary.url()), non_blocking};
  (void)mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return !notes->all().empty(); }));
  EXPECT_TRUE(eventually(limit, [&] { return notes->all().size() == 2; }));
  EXPECT_THAT(notes->all(),
              ElementsAre(HasSubstr("set appendonly to yes"), HasSubstr("set min-replicas-to-write to 1")));
}

TEST_F(LogTest, SaysWhatItCannotSee) {
  Server restricted({.users = {"worker on >open-sesame ~* &* +@all -info"}});
  const RedisMutex mutex{logged("unix://worker:open-sesame@" + restricted.socket_path()), non_blocking};
  (void)mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return !notes->all().empty(); }));
  EXPECT_THAT(notes->all(), ElementsAre(AllOf(HasSubstr("NOPERM"), HasSubstr("noeviction"))));
}

// A log that throws is its own problem.
TEST_F(LogTest, MayThrow) {
  server.command({"CONFIG", "SET", "maxmemory", "1gb"});
  server.command({"CONFIG", "SET", "maxmemory-policy", "volatile-lru"});
  ConnectionOptions options = parse_url(server.url());
  std::atomic<int> calls = 0;
  options.log = [&](std::string_view) {
    ++calls;
    throw std::runtime_error("disk full");
  };
  const RedisMutex mutex{Connection{options}, non_blocking};
  const auto lock = mutex.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return calls == 1; }));
  EXPECT_TRUE(lock.owns_lock());
}

// ---- refusals have names --------------------------------------------------------------------------------------------

TEST(Refusals, HaveReasonsAndRemedies) {
  using Reason = ServerError::Reason;
  const std::vector<std::tuple<std::string, Reason, std::string>> refusals{
      {"OOM command not allowed when used memory > 'maxmemory'.", Reason::out_of_memory, "maxmemory"},
      {"NOREPLICAS Not enough good replicas to write.", Reason::no_replicas, "min-replicas-to-write"},
      {"MISCONF Errors writing to the AOF file", Reason::not_saving, "disk"},
      {"READONLY You can't write against a read only replica.", Reason::read_only, "connect to the primary"},
      {"LOADING Redis is loading the dataset in memory", Reason::loading, "try again"},
      {"BUSY Redis is busy running a script.", Reason::busy, "SCRIPT KILL"},
      {"NOPERM this user has no permissions to run the 'set' command", Reason::no_permission, "lacks a right"},
      {"CLUSTERDOWN The cluster is down", Reason::other, "CLUSTERDOWN"},
  };
  for (const auto& [reply, reason, remedy] : refusals) {
    const FakeServer server(FakeServer::after_login("-" + reply + "\r\n"));
    ConnectionOptions options = parse_url(server.url());
    options.connect_timeout = 100ms;  // so long it waits for a refusal to go by
    const auto error = thrown<ServerError>([&] {
      return RedisMutex{Connection{options}, non_blocking}.acquire_lock("the key");
    });
    EXPECT_EQ(error.reason(), reason) << reply;
    EXPECT_EQ(error.code(), reply.substr(0, reply.find(' ')));
    EXPECT_THAT(error.what(), AllOf(HasSubstr("the key"), HasSubstr(server.url()), HasSubstr(remedy)));
  }
}

// ---- loops that end -------------------------------------------------------------------------------------------------

std::optional<AsyncLock> acquired(const AsyncMutex& mutex, const std::string& key, SlowLoop& loop) {
  std::optional<AsyncLock> lock;
  mutex.acquire_lock(key).start([&](Outcome<AsyncLock> outcome) { lock.emplace(std::move(outcome).get()); });
  EXPECT_TRUE(eventually(limit, [&] {
    loop.run();
    return lock.has_value();
  }));
  return lock;
}

// What completes in a loop that has ended tells nobody but the Observer.
TEST_F(ObserverTest, WhatALoopThatHasEndedDoesNotCompleteHasEnded) {
  SlowLoop loop;
  const AsyncMutex mutex{observed(server.url(), events), named({.block_time = 300ms}), loop.executor()};
  std::optional<AsyncLock> lock = acquired(mutex, "held", loop);
  const auto held = RedisMutex{Connection{server.url()}, patient}.acquire_lock("key");
  mutex.acquire_lock("key").start([](const Outcome<AsyncLock>&) { ADD_FAILURE(); });
  lock->release().start([](const Outcome<void>&) { ADD_FAILURE(); });
  loop.end();
  EXPECT_TRUE(becomes([](const Events::All& all) { return all.attempts.size() == 2 && all.holds.size() == 1; }));
  const auto all = events->all();
  EXPECT_EQ(all.count(AttemptEnded::Outcome::cancelled), 1);
  EXPECT_EQ(all.count(HoldEnded::Outcome::released), 1);
}

// Without an operation that is begun the lock is given back all the same, in the background.
TEST_F(ObserverTest, AReleaseThatNobodyBeginsIsAnEnd) {
  SlowLoop loop;
  const AsyncMutex mutex{observed(server.url(), events), named(patient), loop.executor()};
  std::optional<AsyncLock> lock = acquired(mutex, "key", loop);
  { const Operation<void> never_begun = lock->release(); }
  expect_hold(Hold::unknown);
  EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
}

// As that of a Lock.
TEST_F(ObserverTest, AnAsyncLockInAChildIsAbandoned) {
  SlowLoop loop;
  const AsyncMutex mutex{observed(server.url(), events), named(patient), loop.executor()};
  std::optional<AsyncLock> lock = acquired(mutex, "key", loop);
  const ChildProcess child{[&] {
    lock.reset();
    return events->all().count(Hold::abandoned) == 1 ? 0 : 1;
  }};
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(server.exists("key"));
}

// What it is told may come when the mutex and the operation are gone: it is told of them all the same.
TEST_F(ObserverTest, AWaitIsToldOfAMutexThatIsGone) {
  SlowLoop loop;
  const Connection connection = observed(server.url(), events);
  const AsyncMutex mutex{connection, patient, loop.executor()};
  std::optional<AsyncLock> doomed, first;
  mutex.acquire_lock("doomed").start([&](Outcome<AsyncLock> outcome) { doomed.emplace(std::move(outcome).get()); });
  mutex.acquire_lock("key").start([&](Outcome<AsyncLock> outcome) { first.emplace(std::move(outcome).get()); });
  ASSERT_TRUE(eventually(limit, [&] {
    loop.run();
    return doomed && first;
  }));
  // Someone's callback takes its time, and what the Observer is to be told waits behind it.
  std::promise<void> may_go_on;
  std::atomic<bool> is_busy{false};
  const std::stop_callback busy{doomed->lost_token(), [&] {
                                  is_busy = true;
                                  may_go_on.get_future().wait_for(limit);
                                }};
  server.command({"DEL", "doomed"});
  ASSERT_TRUE(eventually(limit, [&] { return is_busy.load(); }));
  bool is_over = false;
  Options options = patient;
  options.name = std::string(100, 'x');
  AsyncMutex{connection, options, loop.executor()}.acquire_lock("key").start([&](Outcome<AsyncLock> outcome) {
    std::move(outcome).get().release().start([&](const Outcome<void>&) { is_over = true; });
  });
  first->release().start([](const Outcome<void>&) {});
  EXPECT_TRUE(eventually(limit, [&] {
    loop.run();
    return is_over;
  }));
  may_go_on.set_value();
  EXPECT_TRUE(becomes([](const Events::All& all) { return !all.waits.empty(); }));
  EXPECT_EQ(events->all().waits.back().mutex, std::string(100, 'x'));
}

}  // namespace
}  // namespace redismutex::testing
