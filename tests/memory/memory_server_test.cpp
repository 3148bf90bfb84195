#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <redismutex/operate.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "integration/thrown.hpp"
#include "support/descriptors.hpp"
#include "support/eventually.hpp"
#include "with_memory_server.hpp"

// What memory: servers are: there by their names, each for itself, and whole. That locks there are as on a server is for
// integration/conformance_test.cpp to hold, that commands are answered as by one for sim/server_test.cpp.
namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::SizeIs;

using AMemoryServer = WithMemoryServer;

// Constructed before main(), as in programs that have their Connection at namespace scope.
const Connection early{"memory:early"};  // NOLINT(cert-err58-cpp): that it does not throw is the test

TEST(MemoryServers, AreThereForStaticObjects) { EXPECT_NO_THROW(early.ping()); }

TEST_F(AMemoryServer, LeadsByItsUrlToTheSameLocks) {
  const auto lock = mutex.acquire_lock("key");
  EXPECT_FALSE(RedisMutex(Connection{server.url()}).try_acquire_lock("key"));
}

TEST_F(AMemoryServer, HasLocksOfItsOwn) {
  const auto lock = mutex.acquire_lock("key");
  const MemoryServer other;
  EXPECT_NE(other.url(), server.url());
  EXPECT_TRUE(RedisMutex(Connection{other.url()}).try_acquire_lock("key"));
}

TEST(MemoryServers, AreKnownByAnyName) {
  const MemoryServer server{"a/b c?%@\xc3\xa4"};
  EXPECT_EQ(server.url(), "memory:a%2Fb%20c%3F%25%40%C3%A4");
  EXPECT_NO_THROW(Connection{server.url()}.ping());
  EXPECT_EQ(parse_url(server.url()).memory, "a/b c?%@\xc3\xa4");
  EXPECT_THROW(MemoryServer{""}, std::invalid_argument);
  EXPECT_THROW((MemoryServer{std::string_view{"a\0b", 3}}), std::invalid_argument);
}

// A URL alone makes one; a MemoryServer for it finds what is there.
TEST(MemoryServers, AreMadeByTheFirstUse) {
  const Connection connection{"memory:first-use"};
  const auto lock = RedisMutex(connection).acquire_lock("key");
  MemoryServer server{"first-use"};
  const std::stop_token lost = lock.lost_token();
  EXPECT_TRUE(eventually(limit, [&] { return server.end_lease("key") || lost.stop_requested(); }));
}

// So tests do not see each other's locks; and a Connection that stays finds the next server of that name.
TEST(MemoryServers, GoWithAllThatTheyKnow) {
  auto server = std::make_unique<MemoryServer>("short-lived");
  const Connection connection{server->url()};
  const RedisMutex mutex{connection};
  auto lock = mutex.acquire_lock("key");
  server = std::make_unique<MemoryServer>("another");
  EXPECT_TRUE(RedisMutex(Connection{"memory:short-lived"}).try_acquire_lock("key"));
  EXPECT_NO_THROW(connection.ping());
  EXPECT_THROW(lock.release(), MutexUnlockError);
  const MemoryServer next{"short-lived"};  // which goes, too
}

TEST_F(AMemoryServer, TellsWhoHoldsAndWhoWaits) {
  const auto lock = mutex.acquire_lock("key");
  auto waiting = std::async(std::launch::async, [this] { return RedisMutex(another, patient).acquire_lock("key"); });
  Inspection seen;
  ASSERT_TRUE(eventually(limit, [&] {
    seen = inspect(connection, "key", {.waiters = 10});
    return seen.waiting == 1;
  }));
  EXPECT_EQ(seen.state, Inspection::State::held);
  EXPECT_EQ(seen.value, lock.value());
  ASSERT_TRUE(seen.client);
  EXPECT_EQ(seen.client->pid, ::getpid());
  ASSERT_THAT(seen.waiters, SizeIs(1));
  EXPECT_TRUE(seen.waiters.front().alive);
  EXPECT_TRUE(seen.waiters.front().connected);
  EXPECT_EQ(break_lock(connection, "key", lock.value()), Broken::broken);
  EXPECT_EQ(waiting.get().key(), "key");
}

TEST_F(AMemoryServer, FindsAllLocks) {
  const auto one = mutex.acquire_lock("one"), other = mutex.acquire_lock("other");
  std::vector<std::string> found;
  scan(connection, {.all = true}, [&](const Inspection& lock) {
    found.push_back(lock.key);
    return true;
  });
  EXPECT_THAT(found, ::testing::UnorderedElementsAre("one", "other"));
}

// Without replicas, as a single server is.
TEST_F(AMemoryServer, HasNoReplicas) {
  Options wants_one = patient;
  wants_one.block_time = 300ms;
  wants_one.replicas = 1;
  EXPECT_EQ(thrown<ServerError>([&] { return RedisMutex(connection, wants_one).acquire_lock("key"); }).reason(),
            ServerError::Reason::no_replicas);
}

TEST(MemoryServers, MakeAQuorum) {
  MemoryServer a, b, c;
  const Connection quorum = Connection::quorum({Connection{a.url()}, Connection{b.url()}, Connection{c.url()}});
  EXPECT_THROW(Connection::quorum({Connection{a.url()}, Connection{b.url()}, Connection{a.url()}}),
               std::invalid_argument);
  const RedisMutex mutex{quorum, patient};
  mutex.acquire_lock("key").release();
  a.go_away();
  const auto lock = mutex.acquire_lock("key");
  EXPECT_FALSE(RedisMutex(Connection{b.url()}).try_acquire_lock("key"));
  a.come_back();  // what is given back there is not to be waited for
}

TEST(MemoryServers, CostNoDescriptorOnceTheirConnectionsHaveGone) {
  MemoryServer server;
  Connection{server.url()}.ping();
  const auto before = open_descriptors();
  for (int i = 0; i < 20; ++i) Connection{server.url()}.ping();
  EXPECT_TRUE(eventually(limit, [&] { return open_descriptors() <= before; }));
}

}  // namespace
}  // namespace redismutex::testing
