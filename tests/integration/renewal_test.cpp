// Options::auto_renew: a lease is kept alive while its Lock lives, through whatever passes by, and no longer.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "sentences.hpp"
#include "stopwatch.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::chrono::milliseconds lease{600};
constexpr Options renewing{.blocking = false, .expiry = lease, .auto_renew = true};

struct Renewal : WithServer {
  /// Waits until that many leases have gone by.
  static void let_leases_pass(int leases) {
    const Stopwatch watch;
    ASSERT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() >= leases * lease.count(); }));
  }
};

TEST_F(Renewal, KeepsALockBeyondItsLease) {
  auto lock = RedisMutex{connection, renewing}.acquire_lock("key");
  const auto lost = lock.lost_token();
  const auto value = lock.value();
  let_leases_pass(4);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_EQ(server.get("key"), value);
  EXPECT_LE(server.pttl("key"), lease.count()) << "a dead owner's lock is free after one lease";
  EXPECT_NO_THROW(lock.release());
}

// The end of the Lock is the end of it, by an exception too: nothing extends the next one's lease, or takes it again.
TEST_F(Renewal, StopsWithTheLock) {
  const RedisMutex mutex{connection, renewing};
  EXPECT_THROW(
      {
        const auto lock = mutex.acquire_lock("key");
        throw std::runtime_error("inside");
      },
      std::runtime_error);
  EXPECT_FALSE(server.exists("key"));
  server.command({"SET", "key", "other", "PX", "60000"});
  server.command({"CONFIG", "RESETSTAT"});
  let_leases_pass(1);
  EXPECT_FALSE(server.command_calls().contains("evalsha"));
  server.command({"DEL", "key"});
}

// One command renews all that is due at about the same time.
TEST_F(Renewal, GoesInBatches) {
  constexpr int count = 500;
  const RedisMutex mutex{connection, {.blocking = false, .expiry = 6s, .auto_renew = true}};
  std::vector<Lock> locks;
  for (int i = 0; i < count; ++i) locks.push_back(mutex.acquire_lock("key " + std::to_string(i)));
  // The first look at each, soon after it was taken; from then on the rounds.
  const auto pexpires = [&] { return server.command_calls()["pexpire"]; };
  ASSERT_TRUE(eventually(limit, [&] { return pexpires() >= count; }));
  server.command({"CONFIG", "RESETSTAT"});
  ASSERT_TRUE(eventually(limit, [&] { return pexpires() >= count; }));
  EXPECT_LE(server.command_calls()["evalsha"], count / 50) << "at most a few rounds of two commands each";
  for (const auto& lock : locks) EXPECT_TRUE(lock.owns_lock());
}

// The server is out of reach for less than a lease: renewal goes on when it is back, and nobody notices.
TEST_F(Renewal, RetriesWithinTheLease) {
  Server tcp_server({.tcp = true});
  Proxy proxy(tcp_server.port());
  const Connection through_proxy = connect(proxy.url(), {.connect = 100ms, .command = 100ms});
  auto lock = RedisMutex{through_proxy, {.blocking = false, .expiry = 3s, .auto_renew = true}}.acquire_lock("key");
  const auto lost = lock.lost_token();
  proxy.swallow(Direction::replies);
  const Stopwatch watch;
  ASSERT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() >= 1500; }));  // at least one renewal got no answer
  proxy.cut_all(Ending::rst);
  proxy.pass();
  ASSERT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() >= 6000; }));
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_NO_THROW(lock.release());
}

// Renewal is refused for a while, as by a server whose disk is full: that is no loss yet, and the log says so, once.
TEST_F(Renewal, SurvivesARefusal) {
  Server restricted({.users = {"worker on >open-sesame ~* &* +@all"}});
  const auto messages = std::make_shared<Sentences>();
  ConnectionOptions options = parse_url("unix://worker:open-sesame@" + restricted.socket_path());
  options.log = written_to(messages);
  auto lock =
      RedisMutex{Connection{options}, {.blocking = false, .expiry = 3s, .auto_renew = true}}.acquire_lock("key");
  ASSERT_TRUE(eventually(limit, [&] { return restricted.command_calls()["pexpire"] >= 1; }));
  restricted.command({"ACL", "SETUSER", "worker", "-evalsha"});
  const auto complaints = [&] { return messages->about("renewed").size(); };
  ASSERT_TRUE(eventually(limit, [&] { return complaints() > 0; }));
  restricted.command({"ACL", "SETUSER", "worker", "+evalsha"});
  const auto before = restricted.command_calls()["pexpire"];
  ASSERT_TRUE(eventually(limit, [&] { return restricted.command_calls()["pexpire"] > before; }));
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_EQ(complaints(), 1U);
  EXPECT_NO_THROW(lock.release());
}

// A process that hangs does not keep its lock for ever.
TEST_F(Renewal, EndsAfterMaxHold) {
  const RedisMutex mutex{connection, {.blocking = false, .expiry = lease, .auto_renew = true, .max_hold = 3 * lease}};
  const Stopwatch watch;
  auto lock = mutex.acquire_lock("key");
  const auto lost = lock.lost_token();
  ASSERT_TRUE(eventually(limit, [&] { return lost.stop_requested(); }));
  EXPECT_GE(watch.elapsed_ms(), 2 * lease.count()) << "it was renewed";
  EXPECT_LE(watch.elapsed_ms(), 3 * lease.count() + 200) << "and not for longer";
  EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  EXPECT_THROW(lock.release(), MutexUnlockError);
}

TEST_F(Renewal, BoundsOfMaxHold) {
  const auto refusal = [&](const Options& options) {
    return std::string{thrown<std::invalid_argument>([&] { return RedisMutex{connection, options}; }).what()};
  };
  EXPECT_THAT(refusal({.auto_renew = true, .max_hold = 6999ms}),
              HasSubstr("max_hold is 6999 ms, must be at least expiry, 7000 ms"));
  EXPECT_THAT(refusal({.auto_renew = true, .max_hold = -1ms}), HasSubstr("max_hold"));
  EXPECT_THAT(refusal({.max_hold = 10s}), HasSubstr("auto_renew"));
}

// One server that stands still delays no renewal at another.
TEST_F(Renewal, OneDeadServerDelaysNoOther) {
  Server dead;
  auto doomed = RedisMutex{Connection{dead.url()}, renewing}.acquire_lock("key");
  auto safe = RedisMutex{connection, renewing}.acquire_lock("key");
  const auto doomed_token = doomed.lost_token(), safe_token = safe.lost_token();
  dead.pause();
  EXPECT_TRUE(eventually(limit, [&] { return doomed_token.stop_requested(); }));
  let_leases_pass(2);
  EXPECT_FALSE(safe_token.stop_requested());
  EXPECT_NO_THROW(safe.release());
  dead.resume();
}

// The server forgets its scripts between two renewals.
TEST_F(Renewal, AfterAScriptFlush) {
  auto lock = RedisMutex{connection, renewing}.acquire_lock("key");
  server.command({"SCRIPT", "FLUSH"});
  let_leases_pass(2);
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_NO_THROW(lock.release());
}

// Threads that pass a lock on among themselves: each has it renewed for as long as it is inside.
TEST_F(Renewal, OfALockThatWasPassedOn) {
  const RedisMutex mutex{connection, {.block_time = 500ms, .delay = 50ms, .expiry = lease, .auto_renew = true}};
  std::optional<Lock> first = mutex.acquire_lock("key");
  std::optional<Lock> second;
  std::jthread next([&] { second = mutex.try_acquire_lock_for("key", limit); });
  let_leases_pass(2);
  first.reset();
  next.join();
  ASSERT_TRUE(second);
  let_leases_pass(2);
  EXPECT_TRUE(second->owns_lock());
  EXPECT_NO_THROW(second->release());
}

}  // namespace
}  // namespace redismutex::testing
