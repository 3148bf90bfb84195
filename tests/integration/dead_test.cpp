// Many in line are dead, or the next one is: whoever lives gets in soon, and no script looks at more than a few of them.

#include <algorithm>
#include <future>
#include <sstream>
#include <string>
#include <vector>

#include "contender.hpp"
#include "stopwatch.hpp"
#include "support/sanitizers.hpp"
#include "support/tcp_client.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr int many = 10'000;
constexpr int places_a_run = 64;
constexpr long long soon_ms = sanitized ? 15'000 : 3000;  // in spite of them

const std::string line = "redismutex:{key}";

/// Counts the lives that each run of a script looked at: one for each place. MONITOR shows the scripts' commands, too.
class LivesOfRuns {
 public:
  explicit LivesOfRuns(Server& server) : server_{server}, client_{server.port()} {
    client_.send("AUTH control any\r\nMONITOR\r\n");
    read_until("+OK\r\n+OK\r\n");
  }

  std::vector<int> so_far() {
    server_.command({"ECHO", "the end of it"});
    read_until("the end of it");
    std::vector<int> lives;
    std::istringstream lines(seen_);
    for (std::string text; std::getline(lines, text);) {
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
      if (text.find("] \"evalsha\"") != std::string::npos) lives.push_back(0);
      if (text.find(" lua] \"zscore\"") != std::string::npos && !lives.empty()) ++lives.back();
    }
    return lives;
  }

 private:
  void read_until(const std::string& mark) {
    while (seen_.find(mark) == std::string::npos) {
      const std::string text = client_.receive(limit);
      if (text.empty() || text == "FIN" || text == "RST") throw std::runtime_error("MONITOR ended: " + text);
      seen_ += text;
    }
  }

  Server& server_;
  TcpClient client_;
  std::string seen_;
};

struct Dead : ::testing::Test {
  Server server{{.tcp = true}};
  const Connection connection{server.url()};
  const Connection elsewhere{server.url()};  // as another process
  const RedisMutex mutex{connection, sleepy};
  const RedisMutex other{elsewhere, sleepy};

  /// So many who came before everybody else, and whose lives are over.
  void line_up_the_dead(int count) {
    const Reply reply = server.command({"EVAL",
                                        "for i = 1, ARGV[1] do "
                                        "  local id = string.format('%08d-0000-4000-8000-000000000000', i) "
                                        "  redis.call('ZADD', KEYS[1], i, id .. '0premains', 4e15 + i, id) "
                                        "end",
                                        "1", line, std::to_string(count)});
    ASSERT_FALSE(reply.is_error()) << reply.text;
    ASSERT_EQ(in_line(server, "key"), count);
  }

  /// The durations of the scripts' runs in microseconds, from now on.
  void measure_runs() {
    server.command({"CONFIG", "SET", "slowlog-max-len", "100000"});
    server.command({"CONFIG", "SET", "slowlog-log-slower-than", "0"});
    server.command({"SLOWLOG", "RESET"});
  }
  std::vector<long long> durations_of_runs() {
    std::vector<long long> durations;
    for (const Reply& entry : server.command({"SLOWLOG", "GET", "100000"}).elements) {
      const std::string& name = entry.elements.at(3).elements.at(0).text;
      if (name == "EVALSHA") durations.push_back(entry.elements.at(2).integer);
    }
    std::sort(durations.begin(), durations.end());
    return durations;
  }

  void expect_few_a_run(const std::vector<int>& lives) {
    EXPECT_GE(static_cast<int>(lives.size()), many / places_a_run);
    EXPECT_LE(*std::max_element(lives.begin(), lives.end()), places_a_run + 1)
        << "and one who asks looks for its own place";
  }

  void TearDown() override {
    EXPECT_TRUE(eventually(limit, [&] { return server.keys().empty(); })) << ::testing::PrintToString(server.keys());
  }
};

// ---- ten thousand ---------------------------------------------------------------------------------------------------

// The lock is released with ten thousand dead in front of a living one.
TEST_F(Dead, ManyInFrontWhenALockIsReleased) {
  const auto best = best_ms(soon_ms, [&] {
    auto lock = mutex.acquire_lock("key");
    line_up_the_dead(many);
    auto next = std::async(std::launch::async, [&] {
      const auto handed = other.acquire_lock("key");
      return std::chrono::steady_clock::now();
    });
    EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == many + 1; }));
    LivesOfRuns runs(server);
    const auto released_at = std::chrono::steady_clock::now();
    EXPECT_NO_THROW(lock.release());
    const auto entered_at = next.get();
    expect_few_a_run(runs.so_far());
    return ms_between(released_at, entered_at);
  });
  EXPECT_LE(best, soon_ms);
}

// The same when the lock is not released: its key is deleted, which only the first in line is told. The living one finds out
// when it looks by itself.
TEST_F(Dead, ManyInFrontOfAFreeLock) {
  const RedisMutex looking{elsewhere, {.block_time = limit, .expiry = 2 * limit}};
  const auto best = best_ms(soon_ms, [&] {
    server.command({"SET", "key", "foreign"});
    line_up_the_dead(many);
    auto next = std::async(std::launch::async, [&] {
      const auto lock = looking.acquire_lock("key");
      return std::chrono::steady_clock::now();
    });
    EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == many + 1; }));
    LivesOfRuns runs(server);
    const auto deleted_at = std::chrono::steady_clock::now();
    server.command({"DEL", "key"});
    const auto entered_at = next.get();
    expect_few_a_run(runs.so_far());
    return ms_between(deleted_at, entered_at);
  });
  EXPECT_LE(best, soon_ms);
}

// A server does nothing else while it runs a script.
TEST_F(Dead, ManyOccupyTheServerForAMomentAtATime) {
  auto lock = mutex.acquire_lock("key");
  line_up_the_dead(many);
  auto next = std::async(std::launch::async, [&] { return other.acquire_lock("key"); });
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == many + 1; }));
  measure_runs();
  lock.release();
  next.get().release();
  const auto durations = durations_of_runs();
  ASSERT_GE(durations.size(), many / places_a_run);
  EXPECT_LE(durations[durations.size() / 2], 3000) << "microseconds";
}

// Who gives up in front of them, or looks at the lock without waiting, gets its answer as always.
TEST_F(Dead, ManyDoNotHinderWhoDoesNotWait) {
  auto lock = mutex.acquire_lock("key");
  line_up_the_dead(many);
  const RedisMutex single{elsewhere, non_blocking};
  EXPECT_FALSE(single.try_acquire_lock("key"));
  EXPECT_FALSE(other.try_acquire_lock_for("key", 50ms));
  EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == many; })) << "it left no trace";
  lock.extend();
  lock.release();
  EXPECT_TRUE(eventually(limit, [&] { return !server.exists("key"); }));
  server.command({"DEL", line});  // of whom there may be some left
}

// They are not among those of whom Options::max_waiters may wait.
TEST_F(Dead, DoNotCountAsWaiters) {
  Options few = sleepy;
  few.max_waiters = 1;
  const RedisMutex limited{elsewhere, few};
  auto lock = mutex.acquire_lock("key");
  line_up_the_dead(100);
  auto next = std::async(std::launch::async, [&] { return limited.acquire_lock("key").owns_lock(); });
  EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 101; }));
  const RedisMutex third{Connection{server.url()}, few};
  EXPECT_THROW(static_cast<void>(third.acquire_lock("key")), MutexLockError) << "the living one does";
  lock.release();
  EXPECT_TRUE(next.get());
}

// ---- those who have just died ---------------------------------------------------------------------------------------

// The next three are killed, and somebody watches all there is to see on the server's channels: that is nobody who waits. The
// fourth is inside as soon as if it were the first.
TEST_F(Dead, TheNextThreeBesideSomebodyWhoWatchesAllChannels) {
  TcpClient watches_all(server.port());
  watches_all.send("PSUBSCRIBE *\r\n");
  std::string subscribed;
  while (subscribed.find(":1\r\n") == std::string::npos) subscribed += watches_all.receive(limit);
  Contenders contenders(server, "key");
  const auto best = best_ms(10, [&] {
    auto lock = mutex.acquire_lock("key");
    {
      std::vector<Contenders::Contender> dying;
      for (int i = 1; i <= 3; ++i) {
        dying.push_back(contenders.enter("dies", sleepy));
        EXPECT_TRUE(eventually(limit, [&] { return in_line(server, "key") == i; }));
      }
      for (const auto& one : dying) {
        one.process().kill(SIGKILL);
        EXPECT_EQ(one.process().wait(limit), killed_by(SIGKILL));
      }
    }
    const auto fourth = contenders.enter("lives", sleepy);
    EXPECT_TRUE(eventually(limit, [&] { return in_line_and_listening(server, "key") == 1; }));
    const auto released_at = std::chrono::steady_clock::now();
    lock.release();
    const auto event = contenders.next_inside();
    EXPECT_EQ(event.who, "lives");
    fourth.leave();
    EXPECT_EQ(fourth.process().wait(limit), exited(0));
    server.command({"DEL", line});  // the places of the dead, which would be passed over for a while
    return ms_between(released_at, event.when);
  });
  EXPECT_LE(best, 10);
}

// ---- those who stand still ------------------------------------------------------------------------------------------

class StandsStill : public ::testing::TestWithParam<milliseconds> {};

// The next one stands still, and so does not take what it is handed. It holds up the one behind it for a claim, and not for the
// `delay` after which that one would look by itself.
TEST_P(StandsStill, AndHoldsUpTheOthersForAClaim) {
  const Options slow{.block_time = 2 * limit, .delay = GetParam(), .expiry = 3 * limit};
  Server server;
  Contenders contenders(server, "key");
  auto lock = RedisMutex{Connection{server.url()}, slow}.acquire_lock("key");
  const auto next = contenders.enter("stands still", slow);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
  const auto after = contenders.enter("after", slow);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 2; }));
  next.process().pause();
  const auto released_at = std::chrono::steady_clock::now();
  lock.release();
  const auto event = contenders.next_inside();
  EXPECT_EQ(event.who, "after");
  EXPECT_GE(ms_between(released_at, event.when), 999);
  EXPECT_LE(ms_between(released_at, event.when), 3000) << "1010 on a quiet machine";
}

INSTANTIATE_TEST_SUITE_P(Dead, StandsStill, ::testing::Values(4000ms, 12'000ms),
                         [](const auto& tested) { return "Delay" + std::to_string(tested.param.count()); });

}  // namespace
}  // namespace redismutex::testing
