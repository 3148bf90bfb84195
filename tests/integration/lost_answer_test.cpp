// An answer is lost, or comes too late: the same is asked again without doing it twice, what was perhaps taken and given
// up is given back, and no lease is counted longer than the server's.

#include <array>
#include <future>
#include <thread>

#include "stopwatch.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

constexpr Timeouts quick_timeouts{.connect = 250ms, .command = 250ms};
constexpr auto ages = 10min;  // an expiry: whoever is gone before did not just expire

struct LostAnswer : WithServer {
  Proxy proxy{server};
  const Connection far = connect(proxy.url(), long_timeouts);
  const RedisMutex mutex{far, {.blocking = false, .expiry = ages}};

  void SetUp() override {
    auto lock = mutex.acquire_lock("key");
    lock.extend();  // now all scripts are loaded
    lock.release();
  }

  /// The server gets the next command and carries it out; its answer is lost, and the connection with it.
  void lose_next_answer(Ending ending) {
    server.command({"CONFIG", "RESETSTAT"});
    proxy.cut_after(Direction::replies, 0, ending);
  }

  long long calls(const std::string& command) {
    const auto all = server.command_calls();
    return all.contains(command) ? all.at(command) : 0;
  }

  bool gone_soon(const std::string& key) {
    return eventually(limit, [&] { return !server.exists(key); });
  }
};

constexpr std::array endings{Ending::fin, Ending::rst};

// ---- cut at every byte ----------------------------------------------------------------------------------------------

/// A client's whole conversation, of which some of the bytes are counted, or cut.
class Conversation {
 public:
  explicit Conversation(Direction direction) : direction_{direction} {}

  /// How many bytes a login takes, and how many all of it; a few more or less, because the server tells each client its
  /// number.
  std::size_t login_bytes() {
    return bytes_of([&] { connect(proxy_.url(), long_timeouts).ping(); });
  }
  std::size_t bytes() {
    return bytes_of([&] { converse(new_client()); });
  }

  /// A new connection, login, lock, unlock, with a script that has to be loaded: cut after so many bytes. False if the
  /// client heard of it. Afterwards it can lock and unlock in any case.
  bool survives_cut_after(std::size_t bytes, Ending ending) {
    server_.command({"SCRIPT", "FLUSH"});
    const RedisMutex client = new_client();
    proxy_.cut_after(direction_, bytes, ending);
    bool survived = true;
    try {
      converse(client);
    } catch (const ConnectionError&) {
      survived = false;
    }
    proxy_.pass();
    EXPECT_TRUE(server_.keys().empty());
    converse(client);
    return survived;
  }

 private:
  RedisMutex new_client() const {
    return RedisMutex{connect(proxy_.url(), long_timeouts), {.blocking = false, .expiry = ages}};
  }

  void converse(const RedisMutex& client) {
    auto lock = client.acquire_lock("key");
    EXPECT_EQ(server_.get("key"), lock.value());
    lock.release();
    EXPECT_FALSE(server_.exists("key"));
  }

  template <class Action>
  std::size_t bytes_of(Action action) {
    const auto before = proxy_.bytes(direction_);
    action();
    return proxy_.bytes(direction_) - before;
  }

  Server server_;
  Proxy proxy_{server_};
  const Direction direction_;
};

struct CutAtEveryByte : ::testing::TestWithParam<Direction> {};
INSTANTIATE_TEST_SUITE_P(Of, CutAtEveryByte, ::testing::Values(Direction::requests, Direction::replies),
                         [](const auto& cut) { return cut.param == Direction::requests ? "Requests" : "Replies"; });

// Only who was never let in hears of a cut; everyone else gets lock and release, holds the lock in between, and leaves
// nothing. No cut makes anybody wait for a timeout. Several conversations at a time, because each mostly waits for the
// next attempt.
TEST_P(CutAtEveryByte, HarmsNobody) {
  constexpr std::size_t workers = 6, some = 10;
  std::vector<std::jthread> all;
  for (std::size_t worker = 0; worker < workers; ++worker) {
    all.emplace_back([&, worker] {
      Conversation conversation(GetParam());
      const auto login = conversation.login_bytes(), whole = conversation.bytes();
      EXPECT_GT(whole, login);
      for (std::size_t bytes = worker; bytes <= whole + some; bytes += workers) {
        SCOPED_TRACE(bytes);
        const Stopwatch watch;
        const bool survived = conversation.survives_cut_after(bytes, bytes % 2 == 0 ? Ending::fin : Ending::rst);
        EXPECT_TRUE(survived || bytes < login + some);
        EXPECT_LT(watch.elapsed_ms(), limit.count() / 2);
        if (HasFailure()) break;
      }
    });
  }
}

// ---- the answer is lost ---------------------------------------------------------------------------------------------

// Asked again with the same id, by the script, the server finds its own earlier yes: one lock, with a lease that starts anew.
TEST_F(LostAnswer, ToAcquire) {
  for (const auto ending : endings) {
    lose_next_answer(ending);
    const auto lock = mutex.acquire_lock("key");
    EXPECT_EQ(calls("set"), 1);
    EXPECT_EQ(calls("evalsha"), 1);
    EXPECT_EQ(server.get("key"), lock.value());
    EXPECT_GT(lock.valid_for(), ages - 20s);
    EXPECT_LE(lock.valid_for().count(), server.pttl("key"));
    EXPECT_FALSE(mutex.try_acquire_lock("key"));
  }
}

// The same when the answer to the second attempt is lost too, and to the third.
TEST_F(LostAnswer, ToAcquireSeveralTimes) {
  std::optional<Lock> lock;
  lose_next_answer(Ending::fin);
  std::atomic<bool> done = false;
  auto acquired = std::async(std::launch::async, [&] {
    auto taken = mutex.acquire_lock("key");
    done = true;
    return taken;
  });
  // Logins are lost as well, so this many cuts lose the answers to some attempts and some logins.
  for (int cuts = 0; cuts < 5; ++cuts) {
    const auto connections = proxy.connections();
    eventually(limit, [&] { return done || proxy.connections() > connections; });
    proxy.cut_after(Direction::replies, cuts % 2 == 0 ? 300 : 0, Ending::rst);
  }
  lock.emplace(acquired.get());
  proxy.pass();
  EXPECT_EQ(server.get("key"), lock->value());
}

// The server says "not yours" to the second attempt. That is the first one's success, not a loss.
TEST_F(LostAnswer, ToRelease) {
  for (const auto ending : endings) {
    auto lock = mutex.acquire_lock("key");
    lose_next_answer(ending);
    EXPECT_NO_THROW(lock.release());
    EXPECT_EQ(calls("delifeq") + calls("delex") + calls("evalsha"), 2);
    EXPECT_FALSE(server.exists("key"));
  }
}

// Between the two attempts someone else takes the lock that is free now: it stays theirs, and the release still counts.
TEST_F(LostAnswer, ToReleaseAndTheNextOwnerIsIn) {
  for (const auto ending : endings) {
    auto lock = mutex.acquire_lock("key");
    proxy.refuse();
    lose_next_answer(ending);
    auto released = std::async(std::launch::async, [&] { lock.release(); });
    EXPECT_TRUE(gone_soon("key"));
    const auto next = RedisMutex{connection, non_blocking}.acquire_lock("key");
    proxy.pass();
    EXPECT_NO_THROW(released.get());
    EXPECT_EQ(server.get("key"), next.value());
  }
}

// But a lock that had been taken away before the first attempt was not released by it.
TEST_F(LostAnswer, ToReleaseOfALockThatWasLost) {
  const RedisMutex brief{far, {.blocking = false, .expiry = 50ms}};
  auto lock = brief.acquire_lock("key");
  EXPECT_TRUE(gone_soon("key"));
  EXPECT_TRUE(eventually(limit, [&] { return !lock.owns_lock(); }));
  lose_next_answer(Ending::rst);
  thrown<MutexUnlockError>([&] {
    lock.release();
    return 0;
  });
}

TEST_F(LostAnswer, ToExtend) {
  for (const auto ending : endings) {
    auto lock = mutex.acquire_lock("key");
    lose_next_answer(ending);
    lock.extend(2 * ages);
    EXPECT_EQ(calls("evalsha"), 2);
    EXPECT_EQ(server.get("key"), lock.value());
    EXPECT_GT(lock.valid_for(), ages);
    EXPECT_LE(lock.valid_for().count(), server.pttl("key"));
  }
}

// No answer at all: a shorter lease may have begun on the server, so the lock counts on no longer one.
TEST_F(LostAnswer, ToAnExtensionThatShortens) {
  const RedisMutex impatient{connect(proxy.url(), quick_timeouts), {.blocking = false, .expiry = ages}};
  auto lock = impatient.acquire_lock("key");
  proxy.swallow(Direction::replies);
  thrown<OutcomeUnknownError>([&] {
    lock.extend(10s);
    return 0;
  });
  EXPECT_LE(lock.valid_for(), 10s);
  EXPECT_LE(lock.valid_for().count(), server.pttl("key"));
  EXPECT_TRUE(lock.owns_lock());
  proxy.cut_all(Ending::rst);
  proxy.pass();
}

// A longer lease may stand there, of which the lock knows nothing: it is given back as long as it may stand, and not only until the lock
// was over.
TEST_F(LostAnswer, ToAnExtensionOfALockThatCanNotBeReleasedThen) {
  const RedisMutex impatient{connect(proxy.url(), quick_timeouts), {.blocking = false, .expiry = 1s}};
  auto lock = impatient.acquire_lock("key");
  const Stopwatch watch;
  proxy.swallow(Direction::replies);
  thrown<OutcomeUnknownError>([&] {
    lock.extend(ages);
    return 0;
  });
  proxy.refuse();
  proxy.cut_all(Ending::rst);
  thrown<ConnectionError>([&] {
    lock.release();
    return 0;
  });
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 2 * 1000 + 4 * quick_timeouts.sum().count(); }));
  EXPECT_TRUE(server.exists("key"));
  proxy.pass();
  EXPECT_TRUE(gone_soon("key"));
}

// ---- given up -------------------------------------------------------------------------------------------------------

// The server stands still, with our request before its door, until the caller's time limit has passed. When it goes on it
// takes the lock for somebody who has left; so the lock is given back, long before it would expire.
TEST_F(LostAnswer, ToWhoHasGivenUp) {
  server.command({"CONFIG", "RESETSTAT"});
  server.pause();
  thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key", 50ms); });
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] { return calls("set") == 1; })) << "it was taken";
  EXPECT_TRUE(eventually(limit, [&] { return calls("evalsha") == 1; }));
  EXPECT_FALSE(server.exists("key"));
}

TEST_F(LostAnswer, ToWhoWasStopped) {
  server.command({"CONFIG", "RESETSTAT"});
  server.pause();
  std::stop_source stop;
  auto stopped = std::async(
      std::launch::async, [&] { thrown<LockCancelled>([&] { return mutex.acquire_lock("key", stop.get_token()); }); });
  EXPECT_EQ(stopped.wait_for(quiet_time), std::future_status::timeout);
  stop.request_stop();
  stopped.get();
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] { return calls("set") == 1; })) << "it was taken";
  EXPECT_TRUE(gone_soon("key"));
}

// It stands still for longer than all timeouts: the connection on which the lock was asked for is no more, and neither are
// those on which giving it back was tried.
TEST_F(LostAnswer, ToWhoHasGivenUpTheConnectionToo) {
  const RedisMutex impatient{connect(server.url(), quick_timeouts), {.blocking = false, .expiry = ages}};
  impatient.acquire_lock("key").release();
  server.command({"CONFIG", "RESETSTAT"});
  server.pause();
  const Stopwatch watch;
  thrown<ConnectionError>([&] { return impatient.acquire_lock("key"); });
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 4 * quick_timeouts.sum().count(); }));
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] { return calls("set") >= 1; })) << "it was taken";
  EXPECT_TRUE(gone_soon("key"));
}

// Taken, the answer lost, and the way to the server closed for long after the caller has left.
TEST_F(LostAnswer, ToWhoCanNotComeBackForLong) {
  const RedisMutex impatient{connect(proxy.url(), quick_timeouts), {.blocking = false, .expiry = ages}};
  impatient.acquire_lock("key").release();
  proxy.refuse();
  lose_next_answer(Ending::rst);
  const Stopwatch watch;
  thrown<ConnectionError>([&] { return impatient.acquire_lock("key"); });
  EXPECT_TRUE(eventually(limit, [&] { return watch.elapsed_ms() > 4 * quick_timeouts.sum().count(); }));
  EXPECT_TRUE(server.exists("key"));
  proxy.pass();
  EXPECT_TRUE(gone_soon("key"));
}

/// Many ask for a lock each, of a server that stands still, and give up soon.
void give_up_many(const RedisMutex& mutex, int callers) {
  std::vector<std::jthread> all;
  for (int i = 0; i < callers; ++i) {
    all.emplace_back([&, i] {
      thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("key " + std::to_string(i), 50ms); });
    });
  }
}

TEST_F(LostAnswer, ToManyWhoHaveGivenUp) {
  constexpr int callers = 16;
  server.command({"CONFIG", "RESETSTAT"});
  server.pause();
  give_up_many(mutex, callers);
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] { return calls("set") == callers; })) << "they were taken";
  EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); }));
}

// The last user of the connection goes before the locks could be given back: that is done first.
TEST_F(LostAnswer, ToManyWhoHaveGivenUpAndGone) {
  constexpr int callers = 16;
  std::optional<RedisMutex> leaving{std::in_place, connect(server.url(), long_timeouts),
                                    Options{.blocking = false, .expiry = ages}};
  leaving->acquire_lock("key").release();
  server.command({"CONFIG", "RESETSTAT"});
  server.pause();
  give_up_many(*leaving, callers);
  server.resume();
  leaving.reset();
  EXPECT_EQ(calls("set"), callers) << "they were taken";
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
}

// But who leaves is not held up for longer than one operation may take, however much is still to be given back to a
// server that is silent.
TEST_F(LostAnswer, ToManyWhoCanNotWaitForever) {
  std::optional<RedisMutex> leaving{std::in_place, connect(server.url(), quick_timeouts),
                                    Options{.blocking = false, .expiry = 1s}};
  leaving->acquire_lock("key").release();
  server.pause();
  give_up_many(*leaving, 32);
  const Stopwatch patience;  // after which one after the other is being tried for the second time
  EXPECT_TRUE(eventually(limit, [&] { return patience.elapsed_ms() > 3 * quick_timeouts.sum().count(); }));
  const Stopwatch watch;
  leaving.reset();
  EXPECT_LT(watch.elapsed_ms(), quick_timeouts.sum().count() + 1000);
  server.resume();
}

// ---- the answer comes late ------------------------------------------------------------------------------------------

// The lease counts from the request: neither a slow way there nor a slow way back makes it longer than the server's.
TEST_F(LostAnswer, ComesLate) {
  constexpr std::chrono::milliseconds expiry = 10s, delay = 300ms;
  const RedisMutex brief{far, {.blocking = false, .expiry = expiry}};
  for (const auto direction : {Direction::requests, Direction::replies}) {
    proxy.delay(direction, delay);
    auto lock = brief.acquire_lock("key");
    EXPECT_LE(lock.valid_for(), expiry - delay);
    EXPECT_LE(lock.valid_for().count(), server.pttl("key"));
    lock.extend(2 * expiry);
    EXPECT_LE(lock.valid_for(), 2 * expiry - delay);
    EXPECT_LE(lock.valid_for().count(), server.pttl("key"));
    proxy.pass();
  }
}

// An answer that comes after the lease it grants has ended grants nothing.
TEST_F(LostAnswer, ComesLaterThanTheLease) {
  const RedisMutex brief{far, {.blocking = false, .expiry = 100ms}};
  for (const auto direction : {Direction::requests, Direction::replies}) {
    proxy.delay(direction, 150ms);
    EXPECT_FALSE(brief.try_acquire_lock("key"));
    thrown<MutexLockError>([&] { return brief.acquire_lock("key"); });
    proxy.pass();
  }
  EXPECT_TRUE(eventually(limit, [&] { return brief.try_acquire_lock("key").has_value(); }));
}

// A request that lay in the network while its connection broke arrives after everything else, when its caller has long
// locked and unlocked over another connection. It takes the lock for nobody: that costs the next one time, not more than
// the expiry, and never lets two in.
TEST_F(LostAnswer, ToARequestThatArrivesLast) {
  const RedisMutex own{connect(proxy.url(), {.connect = limit, .command = 50ms}),
                       {.block_time = 900ms, .delay = 5ms, .expiry = 1s}};
  own.acquire_lock("key").release();
  server.command({"CONFIG", "RESETSTAT"});
  proxy.delay(Direction::requests, 300ms);
  auto acquired = std::async(std::launch::async, [&] { return own.acquire_lock("key"); });
  std::this_thread::sleep_for(10ms);  // it is sent; or, on a busy machine, nothing is late, which does no harm
  proxy.pass();
  acquired.get().release();
  EXPECT_TRUE(eventually(limit, [&] { return calls("set") >= 2; }));
  const RedisMutex next{connection, patient};
  EXPECT_TRUE(next.acquire_lock("key").owns_lock());
}

}  // namespace
}  // namespace redismutex::testing
