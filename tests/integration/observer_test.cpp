// What a Connection tells: the events of ConnectionOptions::observer, and the sentences of ConnectionOptions::log.

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "fake_server.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Keeps what it is told, as words.
class Notes : public Observer {
 public:
  void acquired(std::string_view key, std::chrono::nanoseconds waited) noexcept override {
    note(waited < 50ms ? "acquired" : "acquired late", key);
  }
  void contended(std::string_view key) noexcept override { note("contended", key); }
  void renewed(std::string_view key, std::chrono::milliseconds) noexcept override { note("renewed", key); }
  void lost(std::string_view key, Loss why) noexcept override { note(why == Loss::gone ? "gone" : "expired", key); }
  void released(std::string_view key, std::chrono::nanoseconds) noexcept override { note("released", key); }
  void reconnected() noexcept override { note("reconnected", ""); }

  void say(std::string_view message) { note(message, ""); }

  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return notes_;
  }

  bool has(const std::string& wanted) const {
    const auto notes = all();
    return std::find(notes.begin(), notes.end(), wanted) != notes.end();
  }

 private:
  void note(std::string_view what, std::string_view key) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(std::string{what} + (key.empty() ? "" : " ") + std::string{key});
  }

  mutable std::mutex mutex_;
  std::vector<std::string> notes_;
};

struct ObserverTest : WithServer {
  std::shared_ptr<Notes> notes = std::make_shared<Notes>();

  Connection observed(std::string_view url) const {
    ConnectionOptions options = parse_url(url);
    options.observer = notes;
    return Connection{options};
  }
};

TEST_F(ObserverTest, HearsOfATurn) {
  const RedisMutex mutex{observed(server.url()), patient};
  auto lock = mutex.acquire_lock("key");
  lock.extend();
  lock.release();
  EXPECT_THAT(notes->all(), ElementsAre(HasSubstr("acquired"), "renewed key", "released key"));
}

TEST_F(ObserverTest, HearsOfContention) {
  server.command({"SET", "key", "other"});
  const RedisMutex mutex{observed(server.url()), patient};
  std::jthread waiting([&] { (void)mutex.acquire_lock("key"); });
  EXPECT_TRUE(eventually(limit, [&] { return notes->has("contended key"); }));
  server.command({"DEL", "key"});
  waiting.join();
  EXPECT_TRUE(notes->has("released key"));
}

TEST_F(ObserverTest, HearsOfARenewal) {
  const RedisMutex mutex{observed(server.url()), {.blocking = false, .expiry = 300ms, .auto_renew = true}};
  const auto lock = mutex.acquire_lock("key");
  EXPECT_TRUE(eventually(limit, [&] { return notes->has("renewed key"); }));
}

// By whichever way it becomes known, once.
TEST_F(ObserverTest, HearsOfALossOnce) {
  const RedisMutex mutex{observed(server.url()), non_blocking};
  auto lock = mutex.acquire_lock("key");
  const auto token = lock.lost_token();
  server.command({"DEL", "key"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  EXPECT_THROW(lock.release(), MutexUnlockError);
  const auto all = notes->all();
  EXPECT_EQ(std::count(all.begin(), all.end(), "gone key"), 1) << ::testing::PrintToString(all);
  EXPECT_FALSE(notes->has("released key"));
}

TEST_F(ObserverTest, HearsOfAnExpiredLease) {
  const RedisMutex mutex{observed(server.url()), {.blocking = false, .expiry = 100ms}};
  std::optional<Lock> lock;
  ASSERT_TRUE(eventually(limit, [&] { return (lock = mutex.try_acquire_lock("key")).has_value(); }));
  const auto token = lock->lost_token();
  EXPECT_TRUE(eventually(limit, [&] { return notes->has("expired key") || notes->has("gone key"); }));
}

TEST_F(ObserverTest, HearsOfAReconnection) {
  const auto watched = observed(server.url());
  watched.ping();
  EXPECT_FALSE(notes->has("reconnected"));
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  watched.ping();
  EXPECT_TRUE(notes->has("reconnected"));
}

// ---- the log --------------------------------------------------------------------------------------------------------

struct LogTest : ObserverTest {
  Connection logged(std::string_view url) const {
    ConnectionOptions options = parse_url(url);
    options.log = [notes = notes](std::string_view message) { notes->say(message); };
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
  EXPECT_THAT(notes->all(), ElementsAre(HasSubstr("set appendonly to yes")));
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

}  // namespace
}  // namespace redismutex::testing
