// Programs of other libraries and other languages lock the same keys: redis-py's Lock, the Python library that this one
// descends from, and whoever does `SET key value NX EX`. Nobody gets in while another is inside, and nobody frees a lock
// that is not his own, whichever side he is on.

#include <future>
#include <thread>

#include "python.hpp"
#include "support/process.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

/// The algorithm of the Python library that this one descends from, from its description: an id set with NX and EX, polled
/// for; and an unlock in two steps.
constexpr auto seed = R"(
class Seed:
    def __init__(self, key):
        self.key = key
    def acquire(self, block_time=0, delay=0.001, expiry=30):
        self.value = str(uuid.uuid4())
        end = time.monotonic() + block_time
        while not r.set(self.key, self.value, nx=True, ex=expiry):
            if time.monotonic() >= end:
                return False
            time.sleep(delay)
        return True
    def release(self):
        if (r.get(self.key) or b'').decode() != self.value:
            raise RuntimeError('not ours')
        r.delete(self.key)
)";

/// The same for redis-py's own.
constexpr auto redis_py = R"(
class RedisPy:
    def __init__(self, key):
        self.lock = r.lock(key, timeout=30, sleep=0.001)
    def acquire(self, block_time=0):
        return self.lock.acquire(blocking=block_time > 0, blocking_timeout=block_time or None)
    def release(self):
        self.lock.release()
)";

/// Someone else's way to lock "key".
struct Other {
  std::string name;
  std::string definitions;
  std::string make;
};
std::ostream& operator<<(std::ostream& out, const Other& other) { return out << other.name; }

const Other others[]{
    {"RedisPy", redis_py, "lock = RedisPy('key')\n"},
    {"Seed", seed, "lock = Seed('key')\n"},
};

struct Interoperation : WithServer {
  const RedisMutex mutex{connection, non_blocking};
};

struct InteroperationWith : Interoperation, ::testing::WithParamInterface<Other> {
  Python python{server, GetParam().definitions + GetParam().make};
};

INSTANTIATE_TEST_SUITE_P(Python, InteroperationWith, ::testing::ValuesIn(others),
                         [](const auto& kind) { return kind.param.name; });

// ---- nobody gets in while another is inside -------------------------------------------------------------------------

TEST_P(InteroperationWith, TheyAreKeptOutByUs) {
  auto lock = mutex.acquire_lock("key");
  const auto value = lock.value();
  EXPECT_EQ(python.evaluate("lock.acquire()"), "False");
  EXPECT_EQ(python.evaluate("lock.acquire(block_time=0.1)"), "False");
  EXPECT_EQ(server.get("key"), value);
  lock.release();
  EXPECT_EQ(python.evaluate("lock.acquire()"), "True");
  EXPECT_NE(server.get("key"), value);
  EXPECT_EQ(python.evaluate("lock.release()"), "None");
}

TEST_P(InteroperationWith, WeAreKeptOutByThem) {
  EXPECT_EQ(python.evaluate("lock.acquire()"), "True");
  const auto value = server.get("key");
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_FALSE(mutex.try_acquire_lock_for("key", 100ms));
  EXPECT_EQ(server.get("key"), value);
  EXPECT_EQ(python.evaluate("lock.release()"), "None");
  EXPECT_TRUE(mutex.try_acquire_lock("key"));
}

TEST_P(InteroperationWith, WeGetInWhenTheyLeave) {
  EXPECT_EQ(python.evaluate("lock.acquire()"), "True");
  auto next = std::async(std::launch::async, [&] { return RedisMutex{connection, patient}.acquire_lock("key"); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  EXPECT_EQ(python.evaluate("lock.release()"), "None");
  EXPECT_TRUE(next.get().owns_lock());
}

TEST_P(InteroperationWith, TheyGetInWhenWeLeave) {
  auto lock = mutex.acquire_lock("key");
  auto next = std::async(std::launch::async, [&] { return python.evaluate("lock.acquire(block_time=20)"); });
  EXPECT_EQ(next.wait_for(quiet_time), std::future_status::timeout);
  lock.release();
  EXPECT_EQ(next.get(), "True");
  EXPECT_EQ(python.evaluate("lock.release()"), "None");
}

// ---- nobody frees another's lock ------------------------------------------------------------------------------------

// Their lock is gone and we are in: their release is refused, and we stay.
TEST_P(InteroperationWith, TheirReleaseDoesNotFreeOurs) {
  EXPECT_EQ(python.evaluate("lock.acquire()"), "True");
  server.command({"DEL", "key"});  // as if it had expired
  auto lock = mutex.acquire_lock("key");
  EXPECT_NE(python.evaluate("lock.release()"), "None");
  EXPECT_EQ(server.get("key"), lock.value());
  EXPECT_NO_THROW(lock.release());
}

TEST_P(InteroperationWith, OurReleaseDoesNotFreeTheirs) {
  auto lock = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_EQ(python.evaluate("lock.acquire()"), "True");
  const auto value = server.get("key");
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  EXPECT_EQ(server.get("key"), value);
  EXPECT_EQ(python.evaluate("lock.release()"), "None");
}

// ---- clients of the pattern -----------------------------------------------------------------------------------------

TEST_F(Interoperation, PlainSetIsKeptOutByUs) {
  const auto lock = mutex.acquire_lock("key");
  EXPECT_TRUE(server.command({"SET", "key", "theirs", "NX", "EX", "30"}).is_nil());
  EXPECT_TRUE(server.command({"SET", "key", "theirs", "NX", "PX", "30000"}).is_nil());
  EXPECT_EQ(server.command({"SETNX", "key", "theirs"}).integer, 0);
  EXPECT_EQ(server.get("key"), lock.value());
}

TEST_F(Interoperation, WeAreKeptOutByPlainSet) {
  EXPECT_EQ(server.command({"SET", "key", "theirs", "NX", "EX", "30"}).text, "OK");
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_FALSE(mutex.try_acquire_lock_for("key", 100ms));
  EXPECT_EQ(server.get("key"), "theirs");
  EXPECT_GT(server.pttl("key"), 0);
  EXPECT_EQ(server.command({"DEL", "key"}).integer, 1);
  EXPECT_TRUE(mutex.try_acquire_lock("key"));
}

// The release that everyone uses with that pattern. Source: redis.io SET, "Patterns".
constexpr auto compare_and_delete =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

// Their lock is gone and we are in: their release finds our value, and leaves it.
TEST_F(Interoperation, ThePatternsReleaseDoesNotFreeOurs) {
  auto lock = mutex.acquire_lock("key");
  EXPECT_EQ(server.command({"EVAL", compare_and_delete, "1", "key", "theirs"}).integer, 0);
  EXPECT_EQ(server.get("key"), lock.value());
  EXPECT_NO_THROW(lock.release());
}

TEST_F(Interoperation, OurReleaseDoesNotFreeAPlainSet) {
  auto lock = mutex.acquire_lock("key");
  server.command({"DEL", "key"});
  EXPECT_EQ(server.command({"SET", "key", "theirs", "NX", "EX", "30"}).text, "OK");
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  EXPECT_EQ(server.get("key"), "theirs");
  EXPECT_EQ(server.command({"EVAL", compare_and_delete, "1", "key", "theirs"}).integer, 1);
}

// Their lease ends, nobody tells anybody, and we are in.
TEST_F(Interoperation, WeGetInWhenTheirLeaseEnds) {
  EXPECT_EQ(server.command({"SET", "key", "theirs", "NX", "PX", "100"}).text, "OK");
  const auto lock = RedisMutex{connection, patient}.acquire_lock("key");
  EXPECT_EQ(server.get("key"), lock.value());
}

// ---- all together ---------------------------------------------------------------------------------------------------

/// What each of them does, again and again: takes the lock, looks whether it is alone inside, and counts in a way that
/// loses counts if it is not. The counts are in another database of the server.
constexpr int turns = 40;
constexpr auto take_turns_with_the_seed = R"(
counts = connect(db=1)
for turn in range(int(sys.argv[2])):
    assert lock.acquire(block_time=20)
    if counts.incr('inside') != 1:
        counts.incr('overlaps')
    total = int(counts.get('total') or 0)
    counts.set('total', total + 1)
    counts.decr('inside')
    lock.release()
)";

int take_our_turns(const Server& server) {
  RawClient counts(server.socket_path(), {"SELECT", "1"});
  const RedisMutex own{Connection{server.url()}, {.block_time = 20s, .delay = 1ms, .expiry = 30s}};
  for (int turn = 0; turn < turns; ++turn) {
    auto lock = own.acquire_lock("key");
    if (counts.command({"INCR", "inside"}).integer != 1) counts.command({"INCR", "overlaps"});
    const auto total = counts.command({"GET", "total"});
    counts.command({"SET", "total", std::to_string(total.is_nil() ? 1 : std::stoll(total.text) + 1)});
    counts.command({"DECR", "inside"});
    lock.release();
  }
  return 0;
}

TEST_F(Interoperation, ProcessesOfAllKindsExcludeEachOther) {
  constexpr int of_each_kind = 2;
  std::vector<ChildProcess> processes;
  for (int i = 0; i < of_each_kind; ++i) {
    for (const auto& other : others) {
      processes.emplace_back(Python::program(
          server.socket_path(), other.definitions + other.make + take_turns_with_the_seed, {std::to_string(turns)}));
    }
    processes.emplace_back([&] { return take_our_turns(server); });
  }
  const auto all = processes.size();
  for (const auto& process : processes) {
    EXPECT_EQ(process.wait(4 * limit), exited(0)) << process.stderr_text();
  }
  RawClient counts(server.socket_path(), {"SELECT", "1"});
  EXPECT_TRUE(counts.command({"GET", "overlaps"}).is_nil()) << "two were inside together";
  EXPECT_EQ(counts.command({"GET", "total"}).text, std::to_string(all * turns));
}

}  // namespace
}  // namespace redismutex::testing
