// Servers that refuse a release, or change roles while clients stay connected: a waiter hears that it has the lock only if it
// has.

#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <sstream>
#include <stop_token>
#include <string>

#include "contender.hpp"
#include "support/tcp_client.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

ServerOptions replicating_at_once() { return {.tcp = true, .directives = {"repl-diskless-sync-delay 0"}}; }

std::string field_of(Server& server, const std::string& name) { return server.info("replication")[name]; }

/// Returns when the replica has what the master has, and gets what is written there.
void replicate(Server& master, Server& replica) {
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
  ASSERT_TRUE(eventually(limit, [&] {
    return field_of(replica, "master_link_status") == "up" &&
           field_of(master, "slave0").find("state=online") != std::string::npos;
  }));
}

/// As REPLICAOF and FAILOVER do it: the clients of both servers stay connected.
void change_roles(Server& master, Server& replica) {
  replica.command({"REPLICAOF", "NO", "ONE"});
  replicate(replica, master);
}

/// Hears what a server sends to the only one in line for the key.
class Eavesdropper {
 public:
  explicit Eavesdropper(Server& server) : client_{server.port()} {
    const std::string place = server.command({"ZRANGE", "redismutex:{key}", "0", "0"}).elements.at(0).text;
    const std::string mailbox = place.substr(37);
    client_.send((mailbox.front() == 's' ? "SSUBSCRIBE " : "SUBSCRIBE ") + mailbox.substr(1) + "\r\n");
    while (heard_.find(":1\r\n") == std::string::npos) hear(limit);
    heard_.clear();
  }

  /// Everything so far.
  std::string heard() {
    hear(quiet_time);
    return heard_;
  }

 private:
  void hear(milliseconds longest) {
    const std::string text = client_.receive(longest);
    if (text == "FIN" || text == "RST") throw std::runtime_error("the server has closed the connection: " + text);
    heard_ += text;
  }

  TcpClient client_;
  std::string heard_;
};

/// A thread that wants the lock until it has it, is refused it, or is to give up.
class Waiter {
 public:
  explicit Waiter(const Server& server) : mutex_{Connection{server.url()}, sleepy} {}
  ~Waiter() { stop_.request_stop(); }

  bool is_inside_within(milliseconds time) {
    return inside_.wait_for(time) == std::future_status::ready && inside_.get();
  }

 private:
  std::stop_source stop_;
  RedisMutex mutex_;
  std::shared_future<bool> inside_ = std::async(std::launch::async, [this] {
    try {
      return mutex_.acquire_lock("key", stop_.get_token()).owns_lock();
    } catch (const Error&) {
      return false;
    }
  });
};

/// What leads to whichever server is the master.
class Address {
 public:
  explicit Address(const Server& server) { lead_to(server); }

  void lead_to(const Server& server) const {
    ::unlink(path_.c_str());
    checked(::symlink(server.socket_path().c_str(), path_.c_str()), "symlink");
  }

  std::string url() const { return "unix://" + path_; }

 private:
  TempDir directory_;
  std::string path_ = directory_.file("redis.sock");
};

void cut_connection(Server& server, const std::string& client_name) {
  std::istringstream lines(server.command({"CLIENT", "LIST"}).text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" name=" + client_name) == std::string::npos) continue;
    server.command({"CLIENT", "KILL", "ID", line.substr(3, line.find(' ') - 3)});
  }
}

// ---- the roles change -----------------------------------------------------------------------------------------------

// A waiter stays connected to the server that was the master. What the release publishes at the new one would reach it there,
// by replication, although the new master counts nobody as reached, and frees the key for others.
TEST(Hazard, AWaiterAtADemotedServerIsNotTold) {
  Server old_master(replicating_at_once()), new_master(replicating_at_once());
  replicate(old_master, new_master);
  const Address address(old_master);
  ConnectionOptions options = parse_url(address.url());
  options.client_name = "holder";
  auto lock = RedisMutex{Connection{options}, sleepy}.acquire_lock("key");
  Waiter waiter(old_master);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(old_master, "key") == 1 && in_line(new_master, "key") == 1; }));
  Eavesdropper at_old_master(old_master);

  change_roles(old_master, new_master);
  address.lead_to(new_master);
  cut_connection(old_master, "holder");
  lock.release();
  const auto other = RedisMutex{Connection{new_master.url()}, non_blocking}.try_acquire_lock("key");
  ASSERT_TRUE(other);
  EXPECT_TRUE(eventually(limit, [&] { return old_master.get("key") == other->value(); })) << "it follows the new one";
  EXPECT_EQ(at_old_master.heard(), "");
  EXPECT_FALSE(waiter.is_inside_within(quiet_time));
}

// ---- the server refuses ---------------------------------------------------------------------------------------------

/// A way to have a server refuse what writes, from begin() to end(). Each keeps all data and all connections.
struct Refusal {
  std::string name;
  void (*begin)(Server& server, Server& other);
  void (*end)(Server& server, Server& other);
};

void begin_to_save(Server& server) {
  EXPECT_TRUE(eventually(limit, [&] { return !server.command({"BGSAVE"}).is_error(); }));
  EXPECT_TRUE(eventually(limit, [&] { return server.info("persistence")["rdb_bgsave_in_progress"] == "0"; }));
}

const Refusal refusals[] = {
    {"ReadOnly",
     [](Server& server, Server& other) {
       replicate(server, other);
       change_roles(server, other);
     },
     [](Server& server, Server& other) { change_roles(other, server); }},
    {"TooFewReplicas",
     [](Server& server, Server&) {
       server.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
     },
     [](Server& server, Server&) {
       server.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
     }},
    {"NotSaving",
     [](Server& server, Server&) {
       // A directory of that name: no file can take its place.
       checked(::mkdir((server.directory() + "/dump.rdb").c_str(), 0700), "mkdir");
       server.command({"CONFIG", "SET", "save", "3600 1000000"});
       begin_to_save(server);
       EXPECT_EQ(server.info("persistence")["rdb_last_bgsave_status"], "err");
     },
     [](Server& server, Server&) {
       checked(::rmdir((server.directory() + "/dump.rdb").c_str()), "rmdir");
       begin_to_save(server);
     }},
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

class RefusedRelease : public ::testing::TestWithParam<Refusal> {};

// The release is refused: the key is still the holder's, and nobody is told anything else. The waiter gets in when the lease has
// ended, and the server does again what it is asked.
TEST_P(RefusedRelease, TellsNobody) {
  Server server(replicating_at_once()), other(replicating_at_once());
  auto lock = RedisMutex{Connection{server.url()}, {.blocking = false, .expiry = 8s}}.acquire_lock("key");
  const std::string owner = lock.value();
  Waiter waiter(server);
  ASSERT_TRUE(eventually(limit, [&] { return in_line(server, "key") == 1; }));
  Eavesdropper eavesdropper(server);
  const std::string line = server.command({"DUMP", "redismutex:{key}"}).text;

  GetParam().begin(server, other);
  if (GetParam().name == "TooFewReplicas" && server.version() < Version{6, 2, 0}) {
    lock.release();  // Redis 6.0 does not count them for what a script does
  } else {
    EXPECT_THROW(lock.release(), Error);
    EXPECT_EQ(eavesdropper.heard(), "");
    EXPECT_EQ(server.get("key"), owner);
    EXPECT_EQ(server.command({"DUMP", "redismutex:{key}"}).text, line);
    EXPECT_FALSE(waiter.is_inside_within(0ms));
  }
  GetParam().end(server, other);
  EXPECT_TRUE(waiter.is_inside_within(limit));
}

INSTANTIATE_TEST_SUITE_P(Hazard, RefusedRelease, ::testing::ValuesIn(refusals),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace redismutex::testing
