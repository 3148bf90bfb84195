// Connection: reaches the server that it was told to, with one socket for all, and finds back to it by itself.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <sstream>
#include <thread>

#include "contender.hpp"
#include "monitor.hpp"
#include "stopwatch.hpp"
#include "support/channel.hpp"
#include "support/descriptors.hpp"
#include "support/exclusion_witness.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

using Fields = std::map<std::string, std::string>;

/// The clients whose name in CLIENT LIST begins with this, and a colon.
std::vector<Fields> clients_named(Server& server, const std::string& name) {
  std::vector<Fields> clients;
  std::istringstream lines(server.command({"CLIENT", "LIST"}).text);
  for (std::string line; std::getline(lines, line);) {
    Fields fields;
    std::istringstream words(line);
    for (std::string word; words >> word;) fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    if (fields["name"].starts_with(name + ":")) clients.push_back(std::move(fields));
  }
  return clients;
}

void take_and_release(const Connection& connection, const std::string& key = "key") {
  RedisMutex{connection, patient}.acquire_lock(key).release();
}

struct ConnectionTest : WithServer {
  const RedisMutex mutex{connection, non_blocking};

  void kill_clients() { server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}); }
};

// ---- where to -------------------------------------------------------------------------------------------------------

// Making things takes no server, no descriptor and no thread: only using them does.
TEST_F(ConnectionTest, ConstructorsDoNoIo) {
  const auto descriptors = open_descriptors();
  const auto threads = thread_count();
  for (const auto& url : {std::string("redis://127.0.0.1:1"), std::string("redis://nobody.invalid"), server.url()}) {
    const Connection made{url};
    const Connection copy = made;
    const RedisMutex redis_mutex{copy};
    const Mutex standard{copy, "key"};
    const auto wrapped = with_redismutex(copy, "key", [] {});
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(thread_count(), threads);
  }
  EXPECT_EQ(server.info("stats").at("total_connections_received"), "1") << "the test's own";
}

TEST_F(ConnectionTest, ReachesTheServerByEachKindOfAddress) {
  Server tcp({.tcp = true, .ipv6 = true});
  const auto port = std::to_string(tcp.port());
  for (const auto& url : {"unix://" + tcp.socket_path(), "redis://127.0.0.1:" + port, "redis://localhost:" + port,
                          "redis://[::1]:" + port}) {
    const Connection by_url{url};
    by_url.ping();
    const auto lock = RedisMutex{by_url}.acquire_lock("key");
    EXPECT_EQ(tcp.get("key"), lock.value()) << url;
  }
}

TEST_F(ConnectionTest, ReachesTheServerByOptions) {
  Server tcp({.tcp = true, .password = "secret"});
  const Connection by_port{{.host = "127.0.0.1", .port = tcp.port(), .password = "secret"}};
  const Connection by_path{{.unix_socket = tcp.socket_path(), .username = "default", .password = "secret"}};
  take_and_release(by_port);
  take_and_release(by_path);
}

// In a process of its own, because the environment belongs to all threads.
TEST_F(ConnectionTest, ReadsRedisUrlFromTheEnvironment) {
  const ChildProcess child([&] {
    ::setenv("REDIS_URL", server.url().c_str(), 1);
    const auto lock = RedisMutex{Connection{}, non_blocking}.acquire_lock("key");
    return server.get("key") == lock.value() ? 0 : 1;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  const ChildProcess malformed([] {
    ::setenv("REDIS_URL", "http://localhost", 1);
    thrown<std::invalid_argument>([] { return Connection{}; });
    const Connection given{"redis://localhost"};  // it matters only to those who give no URL
    return 0;
  });
  EXPECT_EQ(malformed.wait(limit), exited(0));
}

TEST_F(ConnectionTest, DatabasesAreIsolated) {
  const auto in = [&](int db) {
    return RedisMutex{Connection{server.url() + "?db=" + std::to_string(db)}, non_blocking};
  };
  const auto in_0 = in(0).acquire_lock("key");
  const auto in_7 = in(7).acquire_lock("key");
  EXPECT_EQ(server.get("key"), in_0.value());
  RawClient db_7(server.socket_path(), {"SELECT", "7"});
  EXPECT_EQ(db_7.command({"GET", "key"}).text, in_7.value());
  EXPECT_THROW((void)in(7).acquire_lock("key"), MutexLockError);
}

TEST_F(ConnectionTest, PingTellsWhetherTheServerIsThere) {
  EXPECT_NO_THROW(connection.ping());
  server.kill();
  const Connection fresh{server.url()};
  EXPECT_THAT(thrown<ConnectionError>([&] { fresh.ping(); }).what(), HasSubstr(server.url()));
  server.start();
  EXPECT_NO_THROW(fresh.ping());
}

TEST_F(ConnectionTest, AdministratorsSeeWhoWeAre) {
  connection.ping();
  const auto clients = clients_named(server, "redismutex");
  ASSERT_EQ(clients.size(), 1U);
  if (server.product() == "valkey" || server.version() >= Version{7, 2, 0}) {
    EXPECT_EQ(clients[0].at("lib-name"), "redismutex");
    EXPECT_NE(clients[0].at("lib-ver"), "");
  }
  ConnectionOptions options = parse_url(server.url());
  options.client_name = "night-job";
  const Connection named{options};
  named.ping();
  EXPECT_EQ(clients_named(server, "night-job").size(), 1U);
}

/// The tag of an id, and of a connection's name: redismutex:TAG:HOST:PID:PROGRAM.
std::string tag_of_id(const std::string& id) { return id.substr(0, 8) + id.substr(9, 2); }
std::string tag_of_name(const std::string& name) { return name.substr(name.find(':') + 1, 10); }

// An id that stands at a key leads to the connection of whoever holds it, also after a reconnection.
TEST_F(ConnectionTest, IdsTellTheConnection) {
  const auto before = std::chrono::system_clock::now().time_since_epoch() / 1ms;
  const std::string id = RedisMutex{connection, non_blocking}.acquire_lock("key").value();
  const auto after = std::chrono::system_clock::now().time_since_epoch() / 1ms;
  const auto clients = clients_named(server, "redismutex");
  ASSERT_EQ(clients.size(), 1U);
  const std::string name = clients[0].at("name"), tag = tag_of_name(name);
  EXPECT_EQ(tag_of_id(id), tag);
  EXPECT_EQ(std::stoll(tag.substr(0, 6), nullptr, 16), std::stoll(clients[0].at("id")) % (1 << 24));
  EXPECT_THAT(name, HasSubstr(":" + std::to_string(::getpid()) + ":redismutex_inte"));

  // 42 bits, around the version and the variant.
  const long long asked_at = (std::stoll(id.substr(11, 2) + id.substr(15, 3), nullptr, 16) << 22) |
                             ((std::stoll(id.substr(19, 4), nullptr, 16) & 0x3fff) << 8) |
                             std::stoll(id.substr(24, 2), nullptr, 16);
  EXPECT_GE(asked_at, before);
  EXPECT_LE(asked_at, after);

  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  const std::string later = RedisMutex{connection, non_blocking}.acquire_lock("key").value();
  const auto reconnected = clients_named(server, "redismutex");
  ASSERT_EQ(reconnected.size(), 1U);
  EXPECT_EQ(reconnected[0].at("name"), name);
  EXPECT_NE(reconnected[0].at("id"), clients[0].at("id"));
  EXPECT_EQ(tag_of_id(later), tag);
  EXPECT_NE(later, id);

  const Connection other{server.url()};
  EXPECT_NE(tag_of_id(RedisMutex{other, non_blocking}.acquire_lock("key").value()), tag);
}

// A user who may do next to nothing has a name all the same: it takes no right of its own.
TEST(ConnectionName, NeedsNoRight) {
  Server server({.users = {"alice on >secret -@all +hello +ping"}});
  ConnectionOptions options{.unix_socket = server.socket_path(), .username = "alice", .password = "secret"};
  const Connection connection{options};
  connection.ping();
  EXPECT_EQ(clients_named(server, "redismutex").size(), 1U);
}

// A peer that vanishes without a word is noticed within half a minute by the kernel, also when nothing is asked for; and
// small commands leave at once.
TEST(Tcp, IsKeptAliveAndDoesNotDelay) {
  Server server({.tcp = true});
  const Connection connection{server.tcp_url()};
  connection.ping();
  const auto option = [](int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
  };
  int sockets = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET) continue;
    ASSERT_EQ(ntohs(peer.sin_port), server.port());
    ++sockets;
    EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_LE(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                  option(fd, IPPROTO_TCP, TCP_KEEPINTVL) * option(fd, IPPROTO_TCP, TCP_KEEPCNT),
              30);
  }
  EXPECT_EQ(sockets, 1);
}

// ---- one socket -----------------------------------------------------------------------------------------------------

// Sixteen threads, each with a copy and a mutex of its own, all of them at work at once.
TEST_F(ConnectionTest, CopiesShareOneSocket) {
  constexpr int threads = 16, turns = 20;
  std::barrier all_ready(threads);
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, copy = connection, key = "key " + std::to_string(i)] {
        const RedisMutex own{copy, non_blocking};
        all_ready.arrive_and_wait();
        for (int n = 0; n < turns; ++n) own.acquire_lock(key).release();
      });
    }
  }
  EXPECT_EQ(clients_named(server, "redismutex").size(), 1U);
  EXPECT_EQ(server.info("stats").at("total_connections_received"), "2") << "one of them is the test's own";
}

TEST_F(ConnectionTest, SeparateConnectionsHaveSeparateSockets) {
  const Connection other{server.url()};
  connection.ping();
  other.ping();
  EXPECT_EQ(clients_named(server, "redismutex").size(), 2U);
}

// An uncontended lock and unlock is two commands. Where the server has one that compares and deletes, that one is used; else
// only the first time the script has to be made known, once for all.
TEST_F(ConnectionTest, UncontendedLockAndUnlockAreTwoCommands) {
  Server tcp({.tcp = true});
  const Connection connection_to_watch{tcp.url()};
  take_and_release(connection_to_watch);
  std::vector<std::string> pair{"SET", "EVALSHA"};
  if (const auto deletion = deletion_of(tcp))
    pair = {"SET", *deletion, "EXISTS"};  // is there a line? In the same write.
  Monitor monitor(tcp);
  for (int i = 0; i < 3; ++i) take_and_release(connection_to_watch, "key " + std::to_string(i));
  std::vector<std::string> three_pairs;
  for (int i = 0; i < 3; ++i) three_pairs.insert(three_pairs.end(), pair.begin(), pair.end());
  EXPECT_EQ(monitor.commands(), three_pairs);
  take_and_release(Connection{tcp.url()});
  for (const auto& name : monitor.commands()) EXPECT_NE(name, "SCRIPT") << "the server knows it already";
}

// A failed attempt is one command, and leaves nothing to clean up.
TEST_F(ConnectionTest, FailedAttemptIsOneCommand) {
  Server tcp({.tcp = true});
  const RedisMutex watched{Connection{tcp.url()}, non_blocking};
  const auto lock = watched.acquire_lock("key");
  Monitor monitor(tcp);
  EXPECT_FALSE(watched.try_acquire_lock("key"));
  EXPECT_EQ(monitor.commands().size(), 1U);
}

// After all are gone there is no socket, descriptor or thread left, also of a lock whose loss was watched.
TEST_F(ConnectionTest, LeavesNothingBehind) {
  std::thread{[] {}}.join();  // with the first one the thread sanitizer starts one of its own
  server.command({"PING"});
  const auto descriptors = open_descriptors();
  const auto threads = thread_count();
  {
    const Connection made{server.url()};
    const RedisMutex redis_mutex{made, {.blocking = false, .expiry = 10s}};
    auto lock = redis_mutex.acquire_lock("key");
    EXPECT_FALSE(lock.lost_token().stop_requested());
    std::stop_source stop;
    stop.request_stop();
    EXPECT_THROW((void)redis_mutex.try_acquire_lock_for("key", 10s, stop.get_token()), LockCancelled);
    EXPECT_GT(open_descriptors(), descriptors);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));  // the kernel may need a moment
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
}

// ---- finding back ---------------------------------------------------------------------------------------------------

// Between two operations the server is restarted, in good order or not: the next one does not notice.
TEST_F(ConnectionTest, ServerRestartBetweenOperationsHeals) {
  take_and_release(connection);
  for (const auto end : {&Server::stop, &Server::kill}) {
    (server.*end)();
    server.start();
    take_and_release(connection);
    EXPECT_NO_THROW(connection.ping());
  }
}

// While the server is away operations wait for it as long as connect_timeout says, and no longer.
TEST_F(ConnectionTest, WaitsForAServerThatWasThereBefore) {
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = 200ms;
  const Connection brief{options};
  brief.ping();
  connection.ping();
  server.kill();
  const Stopwatch watch;
  thrown<ConnectionError>([&] { brief.ping(); });
  EXPECT_LT(watch.elapsed_ms(), 5000);
  // The default of 2 s is long enough for a restart, unless the machine is busy.
  EXPECT_TRUE(eventually(limit, [&] {
    server.kill();
    auto pinging = std::async(std::launch::async, [&] {
      try {
        connection.ping();
        return true;
      } catch (const ConnectionError&) {
        return false;
      }
    });
    std::this_thread::sleep_for(20ms);
    server.start();
    return pinging.get();
  }));
}

// The lock was in the memory of the server that is no more: its owner is told, and everybody starts afresh.
TEST_F(ConnectionTest, ServerRestartLosesLocksAndSaysSo) {
  auto extended = mutex.acquire_lock("extended");
  auto released = mutex.acquire_lock("released");
  server.kill();
  server.start();
  EXPECT_THROW(extended.extend(), MutexUnlockError);
  EXPECT_THROW(released.release(), MutexUnlockError);
  EXPECT_TRUE(mutex.try_acquire_lock("extended"));
}

TEST_F(ConnectionTest, KilledClientHeals) {
  auto lock = mutex.acquire_lock("key");
  kill_clients();
  EXPECT_NO_THROW(lock.extend());
  kill_clients();
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  kill_clients();
  EXPECT_NO_THROW(lock.release());
  kill_clients();
  EXPECT_NO_THROW(connection.ping());
}

// Killed again and again while many threads work: nobody sees an error, nobody is inside together, nothing is left.
TEST_F(ConnectionTest, KilledClientHealsUnderLoad) {
  constexpr int threads = 8, turns = 40;
  const RedisMutex eager{connection, {.block_time = limit, .delay = 1ms, .expiry = 2 * limit}};
  ExclusionWitness witness;
  std::atomic<bool> done = false;
  connection.ping();  // a server that was never reached would be reported at once
  std::jthread killer([&] {
    while (!done) {
      kill_clients();
      std::this_thread::sleep_for(10ms);
    }
  });
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (int n = 0; n < turns; ++n) {
          try {
            auto lock = eager.acquire_lock("key");
            witness.enter();
            witness.leave();
            lock.release();
          } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
          }
        }
      });
    }
  }
  done = true;
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_EQ(witness.entries(), threads * turns);
}

// While someone waits for a lock its connection dies: the wait goes on over a new one.
TEST_F(ConnectionTest, KilledClientGoesOnWaiting) {
  auto held = mutex.acquire_lock("key");
  const Connection other{server.url()};
  auto waiting = std::async(std::launch::async, [&] { return RedisMutex{other, patient}.acquire_lock("key").key(); });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(waiting.wait_for(10ms), std::future_status::timeout);
    kill_clients();
  }
  held.release();
  EXPECT_EQ(waiting.get(), "key");
}

// The server forgets all scripts: they are loaded again.
TEST_F(ConnectionTest, FlushedScriptsHeal) {
  const auto flush = [&] { server.command({"SCRIPT", "FLUSH"}); };
  auto lock = mutex.acquire_lock("key");
  lock.extend();
  flush();
  EXPECT_NO_THROW(lock.extend());
  flush();
  EXPECT_NO_THROW(lock.release());
  EXPECT_FALSE(server.exists("key"));
}

TEST_F(ConnectionTest, CutNetworkHeals) {
  Proxy proxy(server);
  const Connection through{proxy.url()};
  for (const auto ending : {Ending::fin, Ending::rst}) {
    auto lock = RedisMutex{through, non_blocking}.acquire_lock("key");
    proxy.cut_all(ending);
    EXPECT_NO_THROW(lock.extend());
    proxy.cut_all(ending);
    EXPECT_NO_THROW(lock.release());
  }
}

// ---- fork -----------------------------------------------------------------------------------------------------------

// A child uses the connection that it inherited, over a socket of its own, and both go on undisturbed.
TEST_F(ConnectionTest, ForkedChildHasASocketOfItsOwn) {
  auto lock = mutex.acquire_lock("parent");
  Channel events;
  const ChildProcess child([&] {
    take_and_release(connection);
    events.send("connected");
    while (server.exists("parent")) std::this_thread::sleep_for(1ms);
    connection.ping();
    return 0;
  });
  ASSERT_EQ(events.receive(limit), "connected");
  EXPECT_EQ(clients_named(server, "redismutex").size(), 2U);
  take_and_release(connection);
  lock.release();
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_NO_THROW(connection.ping());
  EXPECT_EQ(clients_named(server, "redismutex").size(), 1U);
}

// Forked while other threads are in the middle of requests: the child is not caught by what they held.
TEST_F(ConnectionTest, ForkUnderLoad) {
  constexpr int children = 10;
  std::atomic<bool> done = false;
  std::vector<std::jthread> all;
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&, key = "busy " + std::to_string(i)] {
      while (!done) {
        auto lock = mutex.acquire_lock(key);
        EXPECT_TRUE(lock.lost_token().stop_possible());
        lock.release();
      }
    });
  }
  for (int i = 0; i < children; ++i) {
    const ChildProcess child([&] {
      take_and_release(connection, "child");
      return 0;
    });
    EXPECT_EQ(child.wait(limit), exited(0));
  }
  done = true;
}

// What the parent closes is closed: its child holds no copy open, by which the server would still see a client.
TEST_F(ConnectionTest, ForkedChildDoesNotKeepTheParentsSocketOpen) {
  std::optional<Connection> own{server.url()};
  own->ping();
  const ChildProcess child([] { return ::pause(); });
  own.reset();
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
  EXPECT_TRUE(child.running());
}

// What is called when a lock is lost may be the last to let go of everything: in a thread that is itself part of that.
TEST_F(ConnectionTest, MayEndInACallOfALostToken) {
  std::jthread{[] {}}.join();  // with the first one a sanitizer starts one of its own
  const auto threads = thread_count();
  std::optional<Connection> own{server.url()};
  std::optional<RedisMutex> last{std::in_place, *own, Options{.blocking = false, .expiry = 50ms}};
  std::optional<Lock> lock{last->acquire_lock("key")};
  own.reset();
  std::atomic<bool> called = false;
  const std::stop_callback on_loss{lock->lost_token(), [&] {
                                     lock.reset();
                                     last.reset();
                                     called = true;
                                   }};
  EXPECT_TRUE(eventually(limit, [&] { return called.load(); }));
  EXPECT_TRUE(eventually(limit, [&] { return server.connected_clients() == 0; }));
  EXPECT_TRUE(eventually(limit, [&] { return thread_count() == threads; }));
}

// Nor does a program that is started while we are connected.
TEST_F(ConnectionTest, StartedProgramsInheritNoDescriptors) {
  const auto inherited = [] {
    const ChildProcess program(Program{.arguments = {"sh", "-c", "ls /proc/self/fd"}});
    EXPECT_EQ(program.wait(limit), exited(0));
    return program.stdout_text();
  };
  const auto before = inherited();
  const auto lock = mutex.acquire_lock("key");
  EXPECT_FALSE(lock.lost_token().stop_requested());
  EXPECT_EQ(inherited(), before);
}

}  // namespace
}  // namespace redismutex::testing
