// What answers is not there, not Redis, not willing or not able. Each gets an error of its own type that says which
// server and which key, within the time limits; nothing hangs, nothing is left behind, and no password is shown.

#include <functional>
#include <future>
#include <thread>

#include "fake_server.hpp"
#include "stopwatch.hpp"
#include "thrown.hpp"
#include "user_rights.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

/// Short timeouts, for servers that do not answer.
Connection impatient(const std::string& url) {
  ConnectionOptions options = parse_url(url);
  options.connect_timeout = options.command_timeout = 100ms;
  return Connection{options};
}

/// Every operation that needs the server, waiting and not, must fail with exactly this type of error. Returns what the
/// errors say.
template <class Exception>
std::vector<std::string> refused_everywhere(const Connection& connection, std::chrono::milliseconds block_time = 3s) {
  const Options options{.block_time = block_time, .delay = 10ms, .expiry = 4s};
  const RedisMutex blocking{connection, options};
  const RedisMutex unblocking{connection, {.blocking = false}};
  Mutex standard{connection, "the key"};
  const auto wrapped = with_redismutex(
      connection, "the key", [] { ADD_FAILURE() << "called without the lock"; }, options);
  return {
      thrown<Exception>([&] { return blocking.acquire_lock("the key"); }).what(),
      thrown<Exception>([&] { return unblocking.acquire_lock("the key"); }).what(),
      thrown<Exception>([&] { return blocking.try_acquire_lock("the key"); }).what(),
      thrown<Exception>([&] { return blocking.try_acquire_lock_for("the key", block_time); }).what(),
      thrown<Exception>([&] { return standard.try_lock(); }).what(),
      thrown<Exception>([&] { wrapped(); }).what(),
  };
}

template <class Matcher>
void expect_each(const std::vector<std::string>& messages, const Matcher& matcher) {
  for (const auto& message : messages) EXPECT_THAT(message, AllOf(HasSubstr("the key"), matcher));
}

/// As for refused_everywhere, and the code of each.
std::string server_error_everywhere(const Connection& connection, const std::string& url,
                                    std::chrono::milliseconds block_time = 3s) {
  expect_each(refused_everywhere<ServerError>(connection, block_time), HasSubstr(url));
  const auto error = thrown<ServerError>([&] { return RedisMutex{connection, non_blocking}.acquire_lock("the key"); });
  EXPECT_THAT(error.what(), HasSubstr(error.code()));
  return error.code();
}

// ---- not there ------------------------------------------------------------------------------------------------------

// Nobody listens: that is known at once, and waiting would not help.
TEST(BadServer, NotThere) {
  std::uint16_t port = 0;
  {
    const Server gone({.tcp = true});
    port = gone.port();
  }
  const auto url = "redis://127.0.0.1:" + std::to_string(port);
  const Connection connection{url};
  expect_each(refused_everywhere<ConnectionError>(connection, 100ms), HasSubstr(url));
  const Stopwatch watch;
  EXPECT_THAT(thrown<ConnectionError>([&] { connection.ping(); }).what(), HasSubstr(url));
  EXPECT_LT(watch.elapsed_ms(), 2000);
}

TEST(BadServer, NoSuchSocket) {
  const Connection connection{"unix:///no/such/socket"};
  expect_each(refused_everywhere<ConnectionError>(connection, 100ms), HasSubstr("unix:///no/such/socket"));
  const Stopwatch watch;
  thrown<ConnectionError>([&] { return RedisMutex{connection, non_blocking}.acquire_lock("key"); });
  EXPECT_LT(watch.elapsed_ms(), 2000);
}

// ".invalid" is reserved never to exist (RFC 6761).
TEST(BadServer, NoSuchHost) {
  const Connection connection{"redis://nobody.invalid"};
  EXPECT_THAT(thrown<ConnectionError>([&] { connection.ping(); }).what(), HasSubstr("nobody.invalid"));
}

// ---- not Redis ------------------------------------------------------------------------------------------------------

// It accepts, and then says nothing.
TEST(BadServer, BlackHole) {
  const FakeServer server([](const auto&) { return ""; });
  using Operation = std::function<void(const Connection&, const RedisMutex&)>;
  const std::vector<Operation> operations{
      [](const auto& connection, const auto& /*mutex*/) { connection.ping(); },
      [](const auto& /*connection*/, const auto& mutex) { (void)mutex.acquire_lock("the key"); },
      [](const auto& /*connection*/, const auto& mutex) { (void)mutex.try_acquire_lock("the key"); },
      [](const auto& /*connection*/, const auto& mutex) { (void)mutex.try_acquire_lock_for("the key", 200ms); },
  };
  for (const auto& operation : operations) {
    // Each its own: it would join an attempt that another has left.
    const auto connection = impatient(server.url());
    const RedisMutex mutex{connection, {.block_time = 300ms, .delay = 10ms, .expiry = 1s}};
    const Stopwatch watch;
    EXPECT_THAT(thrown<ConnectionError>([&] { operation(connection, mutex); }).what(), HasSubstr(server.url()));
    EXPECT_GE(watch.elapsed_ms(), 100);
    EXPECT_LT(watch.elapsed_ms(), 2000);
  }
}

// It lets us log in, and says nothing after that. Whether it took the lock is unknown, so it may not be assumed.
TEST(BadServer, FallsSilentAfterTheLogin) {
  const FakeServer server(FakeServer::after_login(""));
  const auto connection = impatient(server.url());
  const RedisMutex mutex{connection, {.block_time = 300ms, .delay = 10ms, .expiry = 1s}};
  const Stopwatch watch;
  EXPECT_THAT(thrown<ConnectionError>([&] { return mutex.acquire_lock("the key"); }).what(),
              AllOf(HasSubstr(server.url()), HasSubstr("the key")));
  EXPECT_THAT(thrown<ConnectionError>([&] { return mutex.try_acquire_lock("the key"); }).what(),
              AllOf(HasSubstr(server.url()), HasSubstr("the key")));
  EXPECT_LT(watch.elapsed_ms(), 5000);
}

TEST(BadServer, AWebServer) {
  const FakeServer server([](const auto&) { return "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"; });
  const Stopwatch watch;
  expect_each(refused_everywhere<ConnectionError>(Connection{server.url()}), HasSubstr(server.url()));
  EXPECT_LT(watch.elapsed_ms(), 2000) << "waiting would not help";
}

TEST(BadServer, AMailServer) {
  const FakeServer server([](const auto&) { return "500 Syntax error\r\n"; }, "220 mail.example ESMTP\r\n");
  expect_each(refused_everywhere<ConnectionError>(Connection{server.url()}), HasSubstr(server.url()));
}

TEST(BadServer, Garbage) {
  const FakeServer server([](const auto&) { return std::string("\x00\xff\x16\x03\x01garbage\r\n\r\n", 16); });
  expect_each(refused_everywhere<ConnectionError>(Connection{server.url()}), HasSubstr(server.url()));
}

// An answer that promises half a gigabyte: nobody reads, or makes room for, that much.
TEST(BadServer, AnEndlessAnswer) {
  const FakeServer server(FakeServer::after_login("$536870912\r\n" + std::string(100'000, 'x')));
  const auto connection = impatient(server.url());
  EXPECT_THAT(thrown<ConnectionError>([&] { connection.ping(); }).what(), HasSubstr(server.url()));
}

// A server of the right kind, but too old for what we need.
TEST(BadServer, TooOld) {
  const FakeServer server(
      [](const auto&) { return "-ERR unknown command `HELLO`, with args beginning with: `3`\r\n"; });
  expect_each(refused_everywhere<ConnectionError>(Connection{server.url()}),
              AllOf(HasSubstr(server.url()), HasSubstr("too old")));
}

// Answers of the right form that make no sense: they are no lock.
TEST(BadServer, AnswersThatWereNotPossible) {
  for (const auto* answer : {":1\r\n", "*0\r\n", "%0\r\n", "#t\r\n", ",1.5\r\n"}) {
    const FakeServer server(FakeServer::after_login(answer));
    const RedisMutex mutex{Connection{server.url()}, non_blocking};
    EXPECT_THROW((void)mutex.acquire_lock("the key"), Error) << answer;
  }
}

// ---- logins ---------------------------------------------------------------------------------------------------------

constexpr auto secret = "open-sesame";
constexpr auto wrong_secret = "open-barley";

TEST(BadServer, PasswordWanted) {
  Server server({.password = secret});
  const Connection connection{"unix://" + server.socket_path()};
  expect_each(refused_everywhere<LoginError>(connection),
              AllOf(HasSubstr(server.socket_path()), Not(HasSubstr(secret))));
  EXPECT_EQ(server.keys(), std::vector<std::string>{});
}

TEST(BadServer, PasswordWrong) {
  Server server({.tcp = true, .password = secret});
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  const Connection connection{std::string("redis://:") + wrong_secret + "@" + address};
  const Stopwatch watch;
  expect_each(refused_everywhere<LoginError>(connection), AllOf(HasSubstr(address), Not(HasSubstr(wrong_secret))));
  const auto error = thrown<LoginError>([&] { connection.ping(); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr(address), Not(HasSubstr(wrong_secret))));
  EXPECT_LT(watch.elapsed_ms(), 2000) << "another attempt would end the same way";
}

TEST(BadServer, PasswordRight) {
  Server server({.tcp = true, .password = secret});
  for (const auto& url : {server.url(), server.tcp_url()}) {
    const auto lock = RedisMutex{Connection{url}, non_blocking}.acquire_lock("the key");
    EXPECT_EQ(server.get("the key"), lock.value());
    const auto error = thrown<MutexLockError>([&] {
      return RedisMutex{Connection{url}, non_blocking}.acquire_lock("the key");
    });
    EXPECT_THAT(error.what(), Not(HasSubstr(secret)));
  }
}

TEST(BadServer, UserUnknown) {
  const Server server({.users = {"alice on >open-sesame ~* &* +@all"}});
  const auto at = "@" + server.socket_path();
  EXPECT_NO_THROW(Connection{"unix://alice:open-sesame" + at}.ping());
  for (const auto* user : {"bob:open-sesame", "alice:open-barley"}) {
    const auto error = thrown<LoginError>([&] { Connection{std::string("unix://") + user + at}.ping(); });
    EXPECT_THAT(error.what(), Not(HasSubstr("open-")));
  }
}

// The password is changed, or set, while we are at work: known at the next login.
TEST(BadServer, PasswordChangedMeanwhile) {
  Server server({.password = secret});
  const Connection connection{server.url()};
  connection.ping();
  server.command({"CONFIG", "SET", "requirepass", "another"});
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  expect_each(refused_everywhere<LoginError>(connection), HasSubstr(server.socket_path()));
  server.command({"CONFIG", "SET", "requirepass", secret});
  EXPECT_NO_THROW(connection.ping());
}

// ---- permissions ----------------------------------------------------------------------------------------------------

/// A server with a user who may do everything but for `rules`, and a connection as that user.
struct Restricted {
  Server server;
  std::string url = "unix://" + server.socket_path();
  Connection connection{"unix://alice:open-sesame@" + server.socket_path()};

  explicit Restricted(const std::string& rules)
      : server({.users = {"default off", "alice on >open-sesame ~* &* +@all " + rules}}) {}
};

TEST(BadServer, UserMayNotSet) {
  Restricted restricted("-set");
  EXPECT_EQ(server_error_everywhere(restricted.connection, restricted.url), "NOPERM");
  const auto error = thrown<ServerError>([&] {
    return RedisMutex{restricted.connection, non_blocking}.acquire_lock("the key");
  });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("set"), Not(HasSubstr("open-sesame"))));
}

TEST(BadServer, UserMayNotUseTheKey) {
  Restricted restricted("resetkeys ~mine:*");
  EXPECT_EQ(server_error_everywhere(restricted.connection, restricted.url), "NOPERM");
  EXPECT_TRUE(RedisMutex{restricted.connection}.acquire_lock("mine:key").owns_lock());
}

// What a user may not do is said, however late it turns out; and what cannot be released expires.
TEST(BadServer, UserMayNotRunScripts) {
  Restricted restricted("-evalsha");
  // With a token: a lock without one may be given back by a command of the server's own.
  auto lock =
      RedisMutex{restricted.connection, {.blocking = false, .expiry = 60s, .fencing = true}}.acquire_lock("the key");
  const auto refusal = AllOf(HasSubstr("evalsha"), HasSubstr("the key"), HasSubstr(restricted.url));
  const auto extending = thrown<ServerError>([&] { lock.extend(); });
  EXPECT_EQ(extending.code(), "NOPERM");
  EXPECT_THAT(extending.what(), refusal);
  EXPECT_TRUE(lock.owns_lock()) << "it is still ours";
  const auto releasing = thrown<ServerError>([&] { lock.release(); });
  EXPECT_EQ(releasing.code(), "NOPERM");
  EXPECT_THAT(releasing.what(), refusal);
  EXPECT_GT(restricted.server.pttl("the key"), 0);
}

// The server does not know our script yet, and we may not load it: the first is our business, the second is what the
// administrator has to hear of.
TEST(BadServer, UserMayNotLoadScripts) {
  Restricted restricted("-script");
  auto lock = RedisMutex{restricted.connection, {.blocking = false, .fencing = true}}.acquire_lock("the key");
  const auto error = thrown<ServerError>([&] { lock.release(); });
  EXPECT_EQ(error.code(), "NOPERM");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("script"), HasSubstr("the key")));
}

// The least that a user needs, for those who allow no more.
TEST(BadServer, UserMayDoJustEnough) {
  Server server({.users = {"default off"}});
  add_user(server, "alice",
           std::string{">open-sesame ~lock:* ~redismutex:*"} + lock_rights + listening(server) + asking(server) +
               speaking(server) + tracking_rights);
  const Connection connection{"unix://alice:open-sesame@" + server.socket_path()};
  connection.ping();
  auto lock = RedisMutex{connection, non_blocking}.acquire_lock("lock:key");
  const RedisMutex waiting{connection, {.local_handoffs = 0, .fencing = true}};
  EXPECT_FALSE(waiting.try_acquire_lock_for("lock:key", 100ms));
  auto next = std::async(std::launch::async, [&] { return waiting.acquire_lock("lock:key").fencing_token(); });
  lock.extend();
  lock.release();
  EXPECT_TRUE(next.get());
  EXPECT_THAT(server.keys(), ::testing::Not(::testing::Contains("lock:key")));
}

// ---- states of the server -------------------------------------------------------------------------------------------

struct BadServerTest : WithServer {};

TEST(BadServer, Loading) {
  const FakeServer server(FakeServer::after_login("-LOADING Redis is loading the dataset in memory\r\n"));
  EXPECT_EQ(server_error_everywhere(Connection{server.url()}, server.url(), 400ms), "LOADING");
}

// A replica takes no locks.
TEST_F(BadServerTest, Replica) {
  server.command({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(server_error_everywhere(Connection{server.url()}, server.url(), 400ms), "READONLY");
}

// A full server gives out no more locks, and still takes back those that are out.
TEST_F(BadServerTest, OutOfMemory) {
  const RedisMutex mutex{connection, non_blocking};
  auto released = mutex.acquire_lock("released");
  auto extended = mutex.acquire_lock("extended");
  server.command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(server_error_everywhere(connection, server.url()), "OOM");
  EXPECT_NO_THROW(extended.extend());
  EXPECT_NO_THROW(released.release());
  EXPECT_EQ(server.keys(), std::vector<std::string>{"extended"});
  server.command({"CONFIG", "SET", "maxmemory", "0"});
}

TEST_F(BadServerTest, TooFewReplicas) {
  server.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  EXPECT_EQ(server_error_everywhere(connection, server.url()), "NOREPLICAS");
}

// Something else than a lock is stored at the key. Waiting for it to go would be waiting for nothing. A single try does not
// look at what is there.
TEST_F(BadServerTest, KeyOfAnotherType) {
  server.command({"HSET", "the key", "field", "value"});
  const Stopwatch watch;
  const auto error = thrown<ServerError>([&] { return RedisMutex{connection}.acquire_lock("the key"); });
  EXPECT_EQ(error.code(), "WRONGTYPE");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("the key"), HasSubstr(server.url())));
  EXPECT_LT(watch.elapsed_ms(), 2000);
  EXPECT_FALSE((RedisMutex{connection, non_blocking}.try_acquire_lock("the key")));
  EXPECT_EQ(server.command({"HGET", "the key", "field"}).text, "value");
  server.command({"DEL", "the key"});
}

// It takes our key's place while we hold it.
TEST_F(BadServerTest, KeyOfAnotherTypeInPlaceOfALock) {
  auto lock = RedisMutex{connection, non_blocking}.acquire_lock("the key");
  server.command({"DEL", "the key"});
  server.command({"HSET", "the key", "field", "value"});
  EXPECT_THROW(lock.extend(), MutexUnlockError);
  const auto releasing = thrown<ServerError>([&] { lock.release(); });
  EXPECT_EQ(releasing.code(), "WRONGTYPE");
  EXPECT_THAT(releasing.what(), AllOf(HasSubstr("the key"), HasSubstr(server.url())));
  EXPECT_EQ(server.command({"HGET", "the key", "field"}).text, "value");
  server.command({"DEL", "the key"});
}

TEST_F(BadServerTest, DatabaseOutOfRange) {
  const auto url = server.url() + "?db=99";
  const Stopwatch watch;
  expect_each(refused_everywhere<ConnectionError>(Connection{url}), AllOf(HasSubstr(server.url()), HasSubstr("99")));
  EXPECT_LT(watch.elapsed_ms(), 2000) << "another attempt would end the same way";
}

// No place for one more client; when there is one, all is well.
TEST_F(BadServerTest, TooManyClients) {
  server.command({"CONFIG", "SET", "maxclients", "1"});  // which is the test's own
  for (int i = 0; i < 3; ++i) {
    const auto error = thrown<ConnectionError>([&] { return RedisMutex{connection}.acquire_lock("the key"); });
    EXPECT_THAT(error.what(), AllOf(HasSubstr("the key"), HasSubstr(server.url())));
  }
  server.command({"CONFIG", "SET", "maxclients", "10"});
  EXPECT_TRUE(RedisMutex{connection}.acquire_lock("the key").owns_lock());
}

// The server stands still while a lock is held: release() says that there was no answer, in time, and the Lock is empty.
TEST_F(BadServerTest, StandsStillDuringTheRelease) {
  auto lock = RedisMutex{impatient(server.url()), non_blocking}.acquire_lock("the key");
  server.pause();
  const Stopwatch watch;
  const auto error = thrown<OutcomeUnknownError>([&] { lock.release(); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("the key"), HasSubstr(server.url())));
  EXPECT_THAT(error.what(), HasSubstr("no answer within 100 ms (command_timeout)"));
  EXPECT_LT(watch.elapsed_ms(), 5000);
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_EQ(lock.key(), "");
  server.resume();
  server.command({"DEL", "the key"});  // it may be left to expire
}

// Who had less time than the timeouts is told how much that was: on a connection that was there, and on none.
TEST_F(BadServerTest, StandsStillForLongerThanTheCallerHas) {
  const Connection known{server.url()};
  known.ping();
  server.pause();
  for (const Connection& connection : {known, Connection{server.url()}}) {
    const RedisMutex mutex{connection, non_blocking};
    const auto error = thrown<ConnectionError>([&] { return mutex.try_acquire_lock_for("the key", 50ms); });
    EXPECT_THAT(error.what(), ContainsRegex("within [0-9]+ ms"));
  }
  server.resume();
}

// An acquire that gets no answer may have been carried out: the lock is given back as soon as the server answers again.
TEST_F(BadServerTest, StandsStillDuringTheAcquire) {
  const auto connection_to_pause = impatient(server.url());
  connection_to_pause.ping();
  server.pause();
  const RedisMutex mutex{connection_to_pause, non_blocking};
  EXPECT_THROW((void)mutex.acquire_lock("the key"), ConnectionError);
  server.resume();
  EXPECT_TRUE(eventually(limit, [&] { return mutex.try_acquire_lock("the key").has_value(); }));
}

}  // namespace
}  // namespace redismutex::testing
