// A server that can not be used says so at the login, in many ways. Each is told by a sentence that says what to do; what
// goes by is an error that another attempt may not meet; and no password is shown, whatever the server repeats.

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "fake_server.hpp"
#include "stopwatch.hpp"
#include "support/certificates.hpp"
#include "thrown.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto login_secret = "open-sesame";

/// What ping() says that fails with exactly this type of error; it never shows the password.
template <class Exception = ConnectionError>
std::string refusal_of(const ConnectionOptions& options) {
  const std::string text = thrown<Exception>([&] {
                             Connection{options}.ping();
                             return 0;
                           }).what();
  EXPECT_THAT(text, Not(HasSubstr(login_secret)));
  return text;
}

std::string refusal_of(const std::string& url) { return refusal_of(parse_url(url)); }

/// With and without a login, which servers answer in different ways.
std::vector<ConnectionOptions> logins_at(const Server& server) {
  return {{.unix_socket = server.socket_path()},
          {.unix_socket = server.socket_path(), .password = login_secret},
          {.unix_socket = server.socket_path(), .username = "alice", .password = login_secret}};
}

/// Answers each command by its name; the rest is not known to it.
FakeServer::Answer answers(std::function<std::string(const std::string& name)> by_name) {
  return [by_name = std::move(by_name)](const std::vector<std::string>& command) {
    std::string answer = by_name(command.at(0));
    if (answer.empty()) {
      answer = "-ERR unknown command `" + command.at(0) + "`, with args beginning with:";
      for (std::size_t i = 1; i < command.size(); ++i) answer += " `" + command[i] + "`,";
      answer += " \r\n";
    }
    return answer;
  };
}

std::string bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

// ---- no HELLO -------------------------------------------------------------------------------------------------------

TEST(Login, HelloRenamed) {
  const Server server({.users = {"alice on >open-sesame ~* &* +@all"}, .directives = {"rename-command HELLO \"\""}});
  for (const auto& options : logins_at(server)) {
    const Stopwatch watch;
    EXPECT_THAT(refusal_of(options), AllOf(HasSubstr("rename-command"), Not(HasSubstr("too old"))));
    EXPECT_LT(watch.elapsed_ms(), 2000) << "another attempt would end the same way";
  }
}

// It knows neither HELLO nor users; the password is for AUTH with one argument.
TEST(Login, ServerTooOld) {
  const FakeServer server(answers([](const std::string& name) -> std::string {
    if (name == "AUTH") return "+OK\r\n";
    return name == "INFO" ? bulk("# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n") : "";
  }));
  for (const auto& url : {server.url(), "redis://:open-sesame@" + server.url().substr(8)}) {
    EXPECT_THAT(refusal_of(url),
                AllOf(HasSubstr("too old (Redis 5.0.14)"), HasSubstr("Redis 6.0"), HasSubstr("Valkey")));
  }
}

TEST(Login, ProxyWithoutHello) {
  const FakeServer server(answers([](const std::string&) { return ""; }));
  for (const auto& url : {server.url(), "redis://:open-sesame@" + server.url().substr(8)}) {
    EXPECT_THAT(refusal_of(url), AllOf(HasSubstr("proxy"), HasSubstr("RESP2"), HasSubstr("Redis 6.0")));
  }
}

TEST(Login, ProxyWithoutResp3) {
  const FakeServer server(answers([](const std::string& name) {
    return name == "HELLO" ? "-NOPROTO unsupported protocol version\r\n" : "+OK\r\n";
  }));
  EXPECT_THAT(refusal_of(server.url()), AllOf(HasSubstr("RESP2"), HasSubstr("proxy")));
}

// A proxy that answers HELLO 3 as if it were HELLO 2.
TEST(Login, ProxyThatAnswersInResp2) {
  const FakeServer server(answers([](const std::string&) { return "*2\r\n+server\r\n+redis\r\n"; }));
  EXPECT_THAT(refusal_of(server.url()), HasSubstr("RESP2"));
}

// It closes the connection without a word, or says so in TLS.
TEST(Login, PortForTls) {
  const Certificates certificates;
  const Server server({.tls = certificates.tls(certificates.server())});
  EXPECT_THAT(refusal_of("redis://127.0.0.1:" + std::to_string(server.tls_port())), HasSubstr("rediss://"));
}

// As twemproxy does with each command that it does not know.
TEST(Login, ProxyThatClosesTheConnection) {
  const FakeServer server([](const auto&) { return std::nullopt; });
  EXPECT_THAT(refusal_of(server.url()), AllOf(HasSubstr("closed"), HasSubstr("proxy")));
}

// ---- other servers --------------------------------------------------------------------------------------------------

TEST(Login, Sentinel) {
  const Server sentinel({.arguments = {"--sentinel"}});
  for (const auto& options : logins_at(sentinel)) {
    EXPECT_THAT(refusal_of(options), AllOf(HasSubstr("sentinel"), HasSubstr("redis+sentinel://")));
  }
}

TEST(Login, ProtectedMode) {
  const FakeServer server([](const auto&) { return ""; },
                          "-DENIED Redis is running in protected mode because protected mode is enabled and no "
                          "password is set for the default user.\r\n");
  EXPECT_THAT(refusal_of(server.url()), AllOf(HasSubstr("protected mode"), HasSubstr("password")));
}

// ---- rights ---------------------------------------------------------------------------------------------------------

TEST(Login, WithoutAPassword) {
  const Server server({.password = login_secret});
  EXPECT_THAT(refusal_of<LoginError>(ConnectionOptions{.unix_socket = server.socket_path()}),
              HasSubstr("wants a password"));
}

// A user is let in although nobody may do anything without a login, not even say HELLO (Redis 6.0 minds).
TEST(Login, WhereOthersMayNotSayHello) {
  Server server({.users = {"default off -@all", "alice on >open-sesame ~* &* +@all"}});
  const Connection connection{
      ConnectionOptions{.db = 3, .unix_socket = server.socket_path(), .username = "alice", .password = login_secret}};
  EXPECT_NO_THROW(connection.ping());
  EXPECT_TRUE(RedisMutex(connection, non_blocking).acquire_lock("key"));
  EXPECT_THAT(refusal_of<LoginError>(
                  ConnectionOptions{.unix_socket = server.socket_path(), .username = "alice", .password = "wrong"}),
              HasSubstr("WRONGPASS"));
}

TEST(Login, WithoutTheRightToSelect) {
  const Server server({.users = {"alice on >open-sesame ~* &* +@all -select"}});
  ConnectionOptions options{.unix_socket = server.socket_path(), .username = "alice", .password = login_secret};
  EXPECT_NO_THROW(Connection{options}.ping());
  options.db = 3;
  EXPECT_THAT(refusal_of<LoginError>(options), AllOf(HasSubstr("database 3"), HasSubstr("+select")));
}

TEST(Login, NoSuchDatabase) {
  const Server server({.directives = {"databases 2"}});
  EXPECT_NO_THROW(Connection{server.url() + "?db=1"}.ping());
  EXPECT_THAT(refusal_of(server.url() + "?db=2"), AllOf(HasSubstr("database 2"), HasSubstr("databases")));
}

TEST(Login, DatabaseOfACluster) {
  const FakeServer server(answers([](const std::string& name) {
    return name == "SELECT" ? "-ERR SELECT is not allowed in cluster mode\r\n" : "%0\r\n";
  }));
  EXPECT_THAT(refusal_of(server.url() + "/1"), HasSubstr("cluster"));
}

// ---- what goes by ---------------------------------------------------------------------------------------------------

// A server that had been reached before is tried again until it can serve, within the time limit.
TEST(Login, TooManyClientsGoesBy) {
  Server server;
  ConnectionOptions options = parse_url(server.url());
  options.connect_timeout = limit;
  const Connection connection{options};
  connection.ping();
  server.command({"CONFIG", "SET", "maxclients", "1"});  // which is the test's own
  EXPECT_THAT(refusal_of(server.url()), AllOf(HasSubstr("max number of clients"), HasSubstr("maxclients")));
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  const auto rejected = [&] { return server.info("stats").at("rejected_connections"); };
  const std::string before = rejected();
  auto pinged = std::async(std::launch::async, [&] { connection.ping(); });
  EXPECT_TRUE(eventually(limit, [&] { return rejected() != before; }));
  server.command({"CONFIG", "SET", "maxclients", "10"});
  EXPECT_NO_THROW(pinged.get());
}

// The login meets a server that is busy with a script.
TEST(Login, BusyAtSelectGoesBy) {
  Server server({.directives = {"lua-time-limit 10"}});
  ConnectionOptions options = parse_url(server.url() + "?db=3");
  options.connect_timeout = limit;
  const Connection connection{options};
  connection.ping();
  server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  const std::jthread script{[&] { RawClient(server.socket_path()).command({"EVAL", "while true do end", "0"}); }};
  ASSERT_TRUE(eventually(limit, [&] { return server.command({"PING"}).text.starts_with("BUSY"); }));
  if (server.command({"SELECT", "0"}).is_error()) {
    EXPECT_THAT(refusal_of(server.url() + "?db=3"), AllOf(HasSubstr("BUSY"), HasSubstr("try again")));
    auto pinged = std::async(std::launch::async, [&] { connection.ping(); });
    EXPECT_EQ(pinged.wait_for(quiet_time), std::future_status::timeout);
    server.command({"SCRIPT", "KILL"});
    EXPECT_NO_THROW(pinged.get());
  } else {  // newer servers
    EXPECT_EQ(thrown<ServerError>([&] {
                connection.ping();
                return 0;
              }).code(),
              "BUSY");
    server.command({"SCRIPT", "KILL"});
    EXPECT_TRUE(eventually(limit, [&] { return server.command({"PING"}).text == "PONG"; }));
    EXPECT_NO_THROW(connection.ping());
  }
}

}  // namespace
}  // namespace redismutex::testing
