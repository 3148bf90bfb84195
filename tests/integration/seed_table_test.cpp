// Every row of the table "From the seed to C++" in the design: what the Python library promised is kept here, by the
// same name or by the idiom that took its place.

#include <concepts>
#include <thread>

#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct SeedTable : WithServer {
  const RedisMutex mutex{connection, patient};
};

// A URL says host, port and database; the lock is stored there and nowhere else.
TEST_F(SeedTable, ConnectionFromUrl) {
  const Server tcp({.tcp = true});
  const Connection conn{"redis://localhost:" + std::to_string(tcp.port()) + "/1"};
  const auto lock = RedisMutex{conn}.acquire_lock("key");
  RawClient db0(tcp.socket_path()), db1(tcp.socket_path(), {"SELECT", "1"});
  EXPECT_TRUE(db0.command({"GET", "key"}).is_nil());
  EXPECT_EQ(db1.command({"GET", "key"}).text, lock.value());
}

TEST_F(SeedTable, MalformedUrlThrowsAtOnce) {
  for (const auto* url : {"localhost:6379", "http://localhost", "redis://localhost:0", "redis://localhost:65536",
                          "redis://localhost:port", "redis://localhost/one", "redis://localhost/-1", "redis://[::1"}) {
    EXPECT_THROW(Connection{url}, std::invalid_argument) << url;
  }
}

// What Python finds out at run time (TypeError), the compiler says here: only a Connection makes a mutex.
TEST_F(SeedTable, WrongConnectionTypeDoesNotCompile) {
  static_assert(std::constructible_from<RedisMutex, Connection>);
  static_assert(std::constructible_from<RedisMutex, Connection, Options>);
  static_assert(!std::constructible_from<RedisMutex>);
  static_assert(!std::constructible_from<RedisMutex, std::string>);
  static_assert(!std::constructible_from<RedisMutex, const char*>);
  static_assert(!std::constructible_from<RedisMutex, int>);
  static_assert(!std::constructible_from<RedisMutex, std::nullptr_t>);
  static_assert(!std::constructible_from<RedisMutex, ConnectionOptions>);
  static_assert(!std::constructible_from<RedisMutex, Connection, bool>);
}

TEST_F(SeedTable, OptionsAndDefaults) {
  const Options defaults = RedisMutex{connection}.options();
  EXPECT_TRUE(defaults.blocking);
  EXPECT_EQ(defaults.block_time, 5s);
  EXPECT_EQ(defaults.delay, 500ms);
  EXPECT_EQ(defaults.expiry, 7s);
  EXPECT_FALSE(defaults.auto_renew);
  EXPECT_FALSE(defaults.fencing);

  const RedisMutex own{connection, {.block_time = 10s, .delay = 500ms, .expiry = 12s}};
  EXPECT_EQ(own.options().block_time, 10s);
  EXPECT_EQ(own.options().delay, 500ms);
  EXPECT_EQ(own.options().expiry, 12s);
}

// ValueError in Python; the message names field, value and bound.
TEST_F(SeedTable, DelayNotLessThanBlockTime) {
  for (const auto delay : {5000ms, 5001ms}) {
    const auto error = thrown<std::invalid_argument>([&] {
      return RedisMutex{connection, {.block_time = 5s, .delay = delay}};
    });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("delay"), HasSubstr(std::to_string(delay.count())), HasSubstr("5000")));
  }
  EXPECT_NO_THROW((RedisMutex{connection, {.block_time = 5s, .delay = 4999ms}}));
}

TEST_F(SeedTable, ExpiryNotGreaterThanBlockTime) {
  for (const auto expiry : {5000ms, 4999ms}) {
    const auto error = thrown<std::invalid_argument>([&] {
      return RedisMutex{connection, {.block_time = 5s, .expiry = expiry}};
    });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("expiry"), HasSubstr(std::to_string(expiry.count())), HasSubstr("5000")));
  }
  EXPECT_NO_THROW((RedisMutex{connection, {.block_time = 5s, .expiry = 5001ms}}));
}

// Each by itself is no contradiction: the others are fitted to it.
TEST_F(SeedTable, OneValueAloneIsEnough) {
  EXPECT_LT(RedisMutex(connection, {.expiry = 3s}).options().block_time, 3s);
  EXPECT_LT(RedisMutex(connection, {.block_time = 200ms}).options().delay, 200ms);
  EXPECT_GT(RedisMutex(connection, {.block_time = 10s}).options().expiry, 10s);
  EXPECT_GT(RedisMutex(connection, {.delay = 6s}).options().block_time, 6s);
}

TEST_F(SeedTable, NonBlockingMutexDoesNotUseItsBlockTime) {
  const Options options{.blocking = false, .block_time = -1s, .delay = 9s, .expiry = 1s};
  const auto lock = RedisMutex{connection, options}.acquire_lock("key");
  EXPECT_TRUE(lock.owns_lock());
}

// `with mutex.acquire_lock(key):` is a scope.
TEST_F(SeedTable, ScopedAcquireLock) {
  {
    const auto lock = mutex.acquire_lock("key");
    EXPECT_TRUE(server.exists("key"));
  }
  EXPECT_FALSE(server.exists("key"));
}

TEST_F(SeedTable, KeyAndValueInsideEmptyAfter) {
  auto lock = mutex.acquire_lock("key");
  EXPECT_EQ(lock.key(), "key");
  EXPECT_EQ(lock.value(), server.get("key"));
  lock.release();
  EXPECT_EQ(lock.key(), "");
  EXPECT_EQ(lock.value(), "");
}

TEST_F(SeedTable, ReleaseLock) {
  auto lock = mutex.acquire_lock("key");
  lock.release();
  EXPECT_FALSE(server.exists("key"));
  EXPECT_FALSE(lock.owns_lock());
}

// Each of the seed's errors comes where the seed has it.
TEST_F(SeedTable, ErrorNames) {
  auto lock = mutex.acquire_lock("key");
  const RedisMutex impatient{connection, {.block_time = 100ms, .delay = 5ms, .expiry = 1s}};
  EXPECT_THROW((void)impatient.acquire_lock("key"), BlockTimeExceedError);
  EXPECT_THROW((void)(RedisMutex{connection, non_blocking}.acquire_lock("key")), MutexLockError);
  server.command({"SET", "key", "another owner"});
  EXPECT_THROW(lock.release(), MutexUnlockError);
  server.command({"DEL", "key"});

  static_assert(std::derived_from<BlockTimeExceedError, MutexLockError>);
  static_assert(std::derived_from<MutexLockError, Error>);
  static_assert(std::derived_from<MutexUnlockError, Error>);
  static_assert(std::derived_from<ConnectionError, Error>);
  static_assert(std::derived_from<Error, std::runtime_error>);
}

// `@with_redismutex(conn, key)`
TEST_F(SeedTable, WithRedisMutexKey) {
  auto foobar = with_redismutex(connection, "key", [&] { return server.exists("key") ? "foobar" : "not held"; });
  EXPECT_STREQ(foobar(), "foobar");
  EXPECT_FALSE(server.exists("key"));
}

// Overriding `generate_key(*args)`: the key is made from what the function is called with.
TEST_F(SeedTable, GenerateKeyFromArguments) {
  struct Request {
    std::string user;
  };
  const auto generate_key = [](const Request& request, int) { return "settings:" + request.user; };
  auto user_settings = with_redismutex(connection, generate_key, [&](const Request&, int) { return server.keys(); });
  EXPECT_EQ(user_settings(Request{"anna"}, 1), std::vector<std::string>{"settings:anna"});
  EXPECT_EQ(user_settings(Request{"bert"}, 2), std::vector<std::string>{"settings:bert"});
}

// `class view_with_mutex(with_redismutex)`: one decorator, many functions.
TEST_F(SeedTable, ReusableDecorator) {
  const auto generate_key = [](const std::string& user) { return "user:" + user; };
  const WithRedisMutex decorate{connection, generate_key, patient};
  auto rename = decorate([&](const std::string&) { return server.keys().at(0); });
  auto remove = decorate([&](const std::string&) { return server.keys().size(); });
  EXPECT_EQ(rename("anna"), "user:anna");
  EXPECT_EQ(remove("bert"), 1U);
}

TEST_F(SeedTable, StoredAsUuidStringWithTtl) {
  const auto lock = RedisMutex{connection}.acquire_lock("key");
  EXPECT_EQ(server.command({"TYPE", "key"}).text, "string");
  EXPECT_EQ(server.get("key"), lock.value());
  EXPECT_THAT(lock.value(),
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_GT(server.pttl("key"), 0);
  EXPECT_LE(server.pttl("key"), 7000);
  EXPECT_EQ(server.keys(), std::vector<std::string>{"key"}) << "nothing else is stored";
}

// Whoever does `SET key value NX EX` and we exclude each other.
TEST_F(SeedTable, ExcludesClientsOfTheCommonPattern) {
  const std::vector<std::string> set{"SET", "key", "theirs", "NX", "EX", "30"};
  auto lock = mutex.acquire_lock("key");
  EXPECT_TRUE(server.command(set).is_nil());
  lock.release();
  EXPECT_EQ(server.command(set).text, "OK");
  EXPECT_FALSE(mutex.try_acquire_lock("key"));
  EXPECT_EQ(server.get("key"), "theirs");
  server.command({"DEL", "key"});
}

}  // namespace
}  // namespace redismutex::testing
