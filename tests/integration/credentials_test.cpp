// Credentials open the server's door and are shown nowhere: not in an error of any kind, not in output, not in the
// process list, not in the server's log.

#include <fcntl.h>

#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "black_hole.hpp"
#include "support/proxy.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto password = "s3cret-Passw0rd";
constexpr Timeouts login_timeouts{.connect = 600ms, .command = 600ms};

ConnectionOptions as(const Server& server, const std::string& user, const std::string& with_password) {
  return {.unix_socket = server.socket_path(), .username = user, .password = with_password};
}

void expect_locking(const Connection& connection, Server& server) {
  const auto lock = RedisMutex{connection, non_blocking}.acquire_lock("key");
  EXPECT_EQ(server.get("key"), lock.value());
}

// ---- login ----------------------------------------------------------------------------------------------------------

// By URL and by options, for the user "default" and for one of the ACL.
TEST(Credentials, OpenTheDoor) {
  Server server({.tcp = true, .password = password, .users = {"alice on >wonderland ~* +@all"}});
  const auto port = std::to_string(server.port());
  expect_locking(Connection{server.url()}, server);
  expect_locking(Connection{server.tcp_url()}, server);
  expect_locking(Connection{as(server, "", password)}, server);
  expect_locking(Connection{as(server, "default", password)}, server);
  expect_locking(Connection{as(server, "alice", "wonderland")}, server);
  expect_locking(Connection{"redis://alice:wonderland@localhost:" + port}, server);
  expect_locking(Connection{"unix://alice:wonderland@" + server.socket_path()}, server);
}

// A user that the server asks for no password needs none, in a URL of any form and in options; and is that user, not the
// default one.
TEST(Credentials, OfAUserWithoutAPassword) {
  Server server({.tcp = true, .password = password, .users = {"guest on nopass ~key ~redismutex:* &* +@all"}});
  const auto port = std::to_string(server.port());
  for (const auto& connection : {
           Connection{"redis://guest@localhost:" + port},
           Connection{"redis://guest:@localhost:" + port},
           Connection{"valkey://guest@localhost:" + port},
           Connection{"unix://guest@" + server.socket_path()},
           Connection{as(server, "guest", "")},
       }) {
    expect_locking(connection, server);
    const RedisMutex mutex{connection, non_blocking};
    EXPECT_EQ(thrown<ServerError>([&] { return mutex.acquire_lock("other"); }).code(), "NOPERM");
  }
}

// Without the colon the password stands where the user belongs: the error says so, and does not show it.
TEST(Credentials, APasswordInThePlaceOfTheUserIsNamedAndNotShown) {
  Server server({.tcp = true, .password = password});
  const Connection connection{"redis://" + std::string{password} + "@localhost:" + std::to_string(server.port())};
  const auto error = thrown<LoginError>([&] {
    connection.ping();
    return 0;
  });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("without a password"), Not(HasSubstr(password))));
}

// Names and passwords of any characters: as they are in options, percent-encoded in a URL.
TEST(Credentials, MayHaveAnyCharacters) {
  Server server;
  const std::string odd = "p@ss:w/r?d#[]% \"'\\\xc3\xa9&=+";
  server.command({"ACL", "SETUSER", "o:dd@us/er", "on", ">" + odd, "~*", "+@all"});
  expect_locking(Connection{as(server, "o:dd@us/er", odd)}, server);
  expect_locking(Connection{"unix://o%3add%40us%2Fer:p%40ss%3Aw%2Fr%3Fd%23%5B%5D%25%20%22%27%5C%C3%A9%26%3D%2B@" +
                            server.socket_path()},
                 server);
}

// The connection is the user's: what the user may not do is refused by name.
TEST(Credentials, AreThoseOfTheUser) {
  Server server({.users = {"alice on >wonderland ~mine:* +@all"}});
  const RedisMutex mutex{Connection{as(server, "alice", "wonderland")}, non_blocking};
  EXPECT_TRUE(mutex.acquire_lock("mine:1"));
  EXPECT_EQ(thrown<ServerError>([&] { return mutex.acquire_lock("yours"); }).code(), "NOPERM");
}

// Each of these is a LoginError at once, from whatever is called first; and the next try is made with equal care.
TEST(Credentials, ThatAreRefusedAreALoginError) {
  Server server({.password = password, .users = {"alice on >wonderland ~* +@all", "bob off >builder ~* +@all"}});
  const std::map<std::string, ConnectionOptions> refused{
      {"none", {.unix_socket = server.socket_path()}},
      {"wrong password", as(server, "", "not-the-password")},
      {"wrong password of a user", as(server, "alice", "not-the-password")},
      {"unknown user", as(server, "nobody", password)},
      {"user who is off", as(server, "bob", "builder")},
      {"user whose password is missing", as(server, "alice", "")},
  };
  for (const auto& [what, options] : refused) {
    SCOPED_TRACE(what);
    const Connection connection{options};
    const RedisMutex mutex{connection};
    const auto error = thrown<LoginError>([&] {
      connection.ping();
      return 0;
    });
    EXPECT_THAT(error.what(), AllOf(HasSubstr(server.socket_path()), Not(HasSubstr("not-the-password"))));
    thrown<LoginError>([&] { return mutex.acquire_lock("key"); });
    thrown<LoginError>([&] { return mutex.try_acquire_lock("key"); });
    thrown<LoginError>([&] { return mutex.try_acquire_lock_for("key", 1s); });
  }
  EXPECT_TRUE(server.keys().empty());
}

// A connection that was let in stays in when the password changes. When it breaks, the new one is asked for: a
// LoginError, also for the lock that was held, which is then left to its expiry. With the old password back, all is well.
TEST(Credentials, ThatChangeMeanwhileAreALoginErrorAfterTheNextBreak) {
  Server server({.password = password});
  const Connection connection{server.url()};
  const RedisMutex mutex{connection, non_blocking};
  auto lock = mutex.acquire_lock("held");
  server.command({"CONFIG", "SET", "requirepass", "another"});
  EXPECT_TRUE(mutex.acquire_lock("key")) << "logged in before";

  server.command({"CLIENT", "KILL", "TYPE", "normal"});
  EXPECT_THAT(thrown<LoginError>([&] { return mutex.acquire_lock("key"); }).what(), Not(HasSubstr(password)));
  EXPECT_THAT(thrown<LoginError>([&] {
                connection.ping();
                return 0;
              }).what(),
              Not(HasSubstr(password)));
  EXPECT_THAT(thrown<LoginError>([&] {
                lock.release();
                return 0;
              }).what(),
              Not(HasSubstr(password)));
  EXPECT_TRUE(server.exists("held"));

  server.command({"CONFIG", "SET", "requirepass", password});
  EXPECT_TRUE(mutex.acquire_lock("key"));
}

// The server cuts a deleted user's connections at once.
TEST(Credentials, OfADeletedUserAreALoginError) {
  Server server({.users = {"alice on >wonderland ~* +@all"}});
  const RedisMutex mutex{Connection{as(server, "alice", "wonderland")}, non_blocking};
  EXPECT_TRUE(mutex.acquire_lock("key"));
  server.command({"ACL", "DELUSER", "alice"});
  thrown<LoginError>([&] { return mutex.acquire_lock("key"); });
}

// ---- silence --------------------------------------------------------------------------------------------------------

// Whatever part of a URL a mistyped password ends up in, the message does not repeat it. The password is not
// percent-encoded here, or what should follow it is missing.
TEST(Credentials, AreNotInTheErrorForAMalformedUrl) {
  const std::string secret = password;
  for (const std::string& url : {
           "redis://:" + secret + "@localhost:none",
           "redis://:" + secret + "@localhost:70000",
           "redis://:" + secret + "@localhost/none",
           "redis://:" + secret + "@localhost?none=1",
           "redis://:" + secret + "@[::1",
           "redis://:" + secret + "@::1",
           "redis://:" + secret + "%zz@localhost",
           "redis://:%00" + secret + "@localhost",
           "redis://:#" + secret + "@localhost",
           "redis://" + secret + "@localhost:none",
           "redis://:" + secret,  // no host: the password stands where the port would
           "redis://user:" + secret,
           "redis://user:" + secret + "/0",
           "redis://:" + secret + "?@localhost",  // an unescaped '?' ends the address
           "redis://:" + secret + "?x@localhost",
           "redis://:1?" + secret + "@localhost",
           "redis://user:1?" + secret + "=1@localhost",
           "unix://:" + secret,
           "unix://:" + secret + "@relative",
           "http://:" + secret + "@localhost",
           ":" + secret + "@localhost:6379",
           "default:" + secret + "@redis://localhost",
       }) {
    const std::string message = thrown<std::invalid_argument>([&] { return Connection{url}; }).what();
    EXPECT_THAT(message, Not(HasSubstr(secret))) << "for " << url;
    EXPECT_THAT(thrown<std::invalid_argument>([&] { return parse_url(url); }).what(), Not(HasSubstr(secret)));
  }
}

/// Each way to fail, by name: what is thrown by it.
std::map<std::string, std::string> messages_of_all_failures(Server& server) {
  std::map<std::string, std::string> messages;
  const auto note = [&](const std::string& what, const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << what << " did not fail";
    } catch (const Error& error) {
      messages[what] = error.what();
    }
  };
  const auto with_password = [](ConnectionOptions options) {
    options.password = password;
    return Connection{with(login_timeouts, std::move(options))};
  };
  const BlackHole black_hole;
  Proxy proxy(server);

  note("refused", [&] { with_password({.host = "127.0.0.1", .port = 1}).ping(); });
  note("no such socket", [&] { with_password({.unix_socket = "/no/such/socket"}).ping(); });
  note("unknown host", [&] { with_password({.host = "no-such-host.invalid"}).ping(); });
  note("black hole", [&] { with_password({.host = "127.0.0.1", .port = black_hole.port()}).ping(); });
  note("no such database", [&] { with_password({.db = 100, .unix_socket = server.socket_path()}).ping(); });
  note("no TLS there", [&] { with_password({.host = "127.0.0.1", .port = proxy.port(), .tls = TlsOptions{}}).ping(); });
  note("refused login", [&] {
    Connection{as(server, password, password)}.ping();  // also where a user's name would be shown
  });

  const Connection connection = with_password({.host = "127.0.0.1", .port = proxy.port()});
  const RedisMutex mutex{connection, {.block_time = 20ms, .delay = 10ms, .expiry = 10s}};
  server.command({"SET", "taken", "other"});
  server.command({"LPUSH", "no lock", "element"});
  note("taken", [&] { (void)mutex.acquire_lock("taken"); });
  note("wrong type", [&] { (void)mutex.acquire_lock("no lock"); });
  auto lock = mutex.acquire_lock("lost"), cut_off = mutex.acquire_lock("cut off");
  server.command({"DEL", "lost"});
  note("extend lost", [&] { lock.extend(); });
  note("release lost", [&] { lock.release(); });
  proxy.freeze();
  note("no answer", [&] { connection.ping(); });
  note("extend without answer", [&] { cut_off.extend(); });
  note("release without answer", [&] { cut_off.release(); });
  proxy.pass();
  return messages;
}

// Every way to fail that a user can meet: in none does the password come out, neither in the exception nor anywhere that
// the process or the server writes to.
TEST(Credentials, AreNotShownByAnyFailure) {
  Server server({.password = password});
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const auto messages = messages_of_all_failures(server);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_GE(messages.size(), 14u);
  for (const auto& [what, message] : messages) EXPECT_THAT(message, Not(HasSubstr(password))) << what;

  for (const auto* file : {"/proc/self/cmdline", "/proc/self/comm"}) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_THAT(text.str(), Not(HasSubstr(password))) << file;
  }
  EXPECT_THAT(server.log(), Not(HasSubstr(password)));
}

// An old server, or a proxy before it, that does not know HELLO repeats the whole command in its answer.
TEST(Credentials, AreNotShownEvenIfTheServerRepeatsThem) {
  const Server server({.directives = {"rename-command HELLO \"\""}});
  const Connection connection{as(server, "alice", password)};
  const auto error = thrown<ConnectionError>([&] {
    connection.ping();
    return 0;
  });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("rename-command"), Not(HasSubstr(password))));
}

}  // namespace
}  // namespace redismutex::testing
