// Each way in which servers, proxies and what is taken for a server refuse a login, in their own words, becomes a sentence
// that says what to do, and a kind that says whether another attempt may help.

#include "net/diagnosis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace redismutex::net::diagnosis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Failure::Kind;

constexpr Login with = Login::with_password, without = Login::without_password, user_only = Login::with_user_only;

void expect(const Failure& failure, Kind kind, std::string_view part) {
  EXPECT_EQ(failure.kind, kind) << failure.text;
  EXPECT_THAT(failure.text, HasSubstr(std::string{part}));
}

// ---- HELLO is not known ---------------------------------------------------------------------------------------------

// Redis 5, Redis 7 with a rename-command, Envoy and redis-cluster-proxy.
constexpr std::string_view unknown[] = {
    "ERR unknown command `HELLO`, with args beginning with: `3`, ",
    "ERR unknown command 'HELLO', with args beginning with: '3' ",
    "unsupported command 'HELLO'",
    "ERR unsupported command `hello`",
    "ERR HELLO AUTH is not supported",
};

constexpr std::string_view info_of_redis_5 =
    "# Server\r\nredis_version:5.0.14\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\n";
constexpr std::string_view info_of_redis_7 = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
constexpr std::string_view info_of_valkey =
    "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nserver_mode:standalone\r\n";

constexpr std::string_view info_of_redict =
    "# Server\r\nredict_version:7.3.6\r\nredict_mode:standalone\r\nredis_version:7.2.4\r\n";

TEST(Diagnosis, AsksForTheVersionWhereHelloIsUnknown) {
  for (const auto refusal : unknown) {
    EXPECT_EQ(question_after(refusal, with), Question::version) << refusal;
    EXPECT_EQ(question_after(refusal, without), Question::version) << refusal;
  }
}

TEST(Diagnosis, OfAServerThatIsTooOld) {
  for (const auto refusal : unknown) {
    const Failure failure = of_refused_hello(refusal, without, info_of_redis_5);
    expect(failure, Kind::unusable, "too old (Redis 5.0.14)");
    EXPECT_THAT(failure.text, HasSubstr("Redis 6.0"));
    EXPECT_THAT(failure.text, HasSubstr("Valkey"));
  }
}

TEST(Diagnosis, OfARenamedHello) {
  for (const auto refusal : unknown) {
    expect(of_refused_hello(refusal, with, info_of_redis_7), Kind::unusable, "Redis 7.0.15");
    const Failure failure = of_refused_hello(refusal, without, info_of_valkey);
    expect(failure, Kind::unusable, "Valkey 9.1.2");
    expect(of_refused_hello(refusal, without, info_of_redict), Kind::unusable, "Redict 7.3.6");
    EXPECT_THAT(failure.text, AllOf(HasSubstr("rename-command"), Not(HasSubstr("too old"))));
  }
}

// INFO was not answered, or by something that says nothing of itself.
TEST(Diagnosis, OfAServerOrProxyWithoutHelloThatSaysNothing) {
  for (const auto refusal : unknown) {
    for (const std::string_view info :
         {"", "# Server\r\n", "redis_version:\r\n", "redis_version_x:7.0.15", "garbage"}) {
      const Failure failure = of_refused_hello(refusal, without, info);
      expect(failure, Kind::unusable, "too old");
      EXPECT_THAT(failure.text, AllOf(HasSubstr("proxy"), HasSubstr("RESP2"), HasSubstr("Redis 6.0")));
    }
  }
}

// As Envoy does: it knows HELLO, but not version 3 of the protocol.
TEST(Diagnosis, OfAProxyThatSpeaksResp2Only) {
  for (const auto* refusal :
       {"NOPROTO unsupported protocol version", "NOPROTO this protocol version is not supported"}) {
    EXPECT_EQ(question_after(refusal, without), Question::none);
    expect(of_refused_hello(refusal, without, ""), Kind::unusable, "RESP2");
  }
}

TEST(Diagnosis, OfAnOddAnswer) { expect(of_odd_answer(), Kind::unusable, "not a Redis or Valkey server"); }

// ---- logins ---------------------------------------------------------------------------------------------------------

constexpr std::string_view noauth =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option "
    "can "
    "be used to authenticate the client and select the RESP protocol version at the same time";
constexpr std::string_view wrongpass = "WRONGPASS invalid username-password pair or user is disabled.";

// Without its colon a password stands in the user's place: the sentence says how to write it, and shows nothing of what
// the server repeats.
TEST(Diagnosis, OfAUserWithoutAPassword) {
  const Failure failure = of_refused_hello(wrongpass, user_only, "");
  expect(failure, Kind::refused_login, "without a password");
  EXPECT_THAT(failure.text, HasSubstr(":password@"));
  EXPECT_EQ(question_after(wrongpass, user_only), Question::greeting) << "a sentinel has other users";
  EXPECT_THAT(of_refused_hello("ERR no such user 'hunter2'", user_only, "").text, Not(HasSubstr("hunter2")));
}

TEST(Diagnosis, OfRefusedCredentials) {
  expect(of_refused_hello(noauth, without, ""), Kind::refused_login, "wants a password");
  expect(of_refused_hello("NOAUTH Authentication required.", with, ""), Kind::refused_login, "proxy");
  expect(of_refused_hello(wrongpass, with, ""), Kind::refused_login, "wrong");
  expect(of_refused_hello("NOPERM this user has no permissions to run the 'hello' command", with, ""),
         Kind::refused_login, "+hello");
}

// Redis 6.0 refuses HELLO with credentials where the default user may not say it: AUTH first may do.
TEST(Diagnosis, AuthenticatesFirstWhereHelloNeedsARight) {
  constexpr auto noperm = "NOPERM this user has no permissions to run the 'hello' command or its subcommand";
  EXPECT_EQ(question_after(noperm, with), Question::authentication);
  EXPECT_EQ(question_after(noperm, without), Question::none);
}

// A sentinel has other users than the servers that it watches: after WRONGPASS it is asked what it is.
TEST(Diagnosis, OfASentinel) {
  EXPECT_EQ(question_after(wrongpass, with), Question::greeting);
  EXPECT_EQ(question_after(noauth, without), Question::none);
  const auto failure =
      of_greeting({.client_id = 4, .server = "redis", .version = {7, 0, 15}, .mode = "sentinel"}, Expected::server);
  ASSERT_TRUE(failure);
  expect(*failure, Kind::unusable, "redis+sentinel://");
  EXPECT_FALSE(of_greeting({.mode = "sentinel"}, Expected::sentinel));
  for (const auto* mode : {"standalone", "cluster", ""}) {
    EXPECT_FALSE(of_greeting({.mode = mode}, Expected::server)) << mode;
    const auto other = of_greeting({.mode = mode}, Expected::sentinel);
    ASSERT_TRUE(other) << mode;
    expect(*other, Kind::unusable, "no sentinel");
  }
}

TEST(Diagnosis, OfProtectedMode) {
  for (const auto* refusal :
       {"DENIED Redis is running in protected mode because protected mode is enabled and no "
        "password is set for the default user. In this mode connections are only accepted",
        "DENIED Running in protected mode because protected mode is enabled and no password is set"}) {
    const Failure failure = of_refused_hello(refusal, with, "");
    expect(failure, Kind::unusable, "protected mode");
    EXPECT_THAT(failure.text, HasSubstr("password"));
  }
}

// ---- what goes by ---------------------------------------------------------------------------------------------------

TEST(Diagnosis, OfTooManyClients) {
  for (const auto* refusal :
       {"ERR max number of clients reached", "ERR max number of clients + cluster connections reached"}) {
    expect(of_refused_hello(refusal, without, ""), Kind::turned_away, "max number of clients");
  }
}

constexpr std::string_view states[] = {
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
};

TEST(Diagnosis, OfAServerThatCanNotServeAtTheMoment) {
  for (const auto state : states) {
    const std::string code{state.substr(0, state.find(' '))};
    expect(of_refused_hello(state, with, ""), Kind::turned_away, code);
    const Failure failure = of_refused_select(state, 3);
    expect(failure, Kind::turned_away, code);
    EXPECT_THAT(failure.text, AllOf(HasSubstr("database 3"), HasSubstr("try again")));
  }
}

// An error that is not known here: another attempt may help, so it is not held to be for ever.
TEST(Diagnosis, OfAnUnknownRefusal) {
  expect(of_refused_hello("ERR no upstream host", without, ""), Kind::unreachable, "no upstream host");
  expect(of_refused_hello("upstream failure", without, ""), Kind::unreachable, "upstream failure");
  EXPECT_THAT(of_refused_hello("ERR a\nb\x80\x1b[31m", without, "").text, HasSubstr("ERR a?b??[31m"));
  EXPECT_LT(of_refused_hello("ERR " + std::string(100'000, 'x'), without, "").text.size(), 500);
}

// ---- databases ------------------------------------------------------------------------------------------------------

TEST(Diagnosis, OfADatabase) {
  expect(of_refused_select("ERR DB index is out of range", 99), Kind::unusable, "database 99");
  expect(of_refused_select("ERR invalid DB index", 99), Kind::unusable, "databases");
  expect(of_refused_select("ERR SELECT is not allowed in cluster mode", 1), Kind::unusable, "cluster has database 0");
  expect(of_refused_select("ERR unknown command 'SELECT', with args beginning with: '3' ", 3), Kind::unusable,
         "database 0 only");
  expect(of_refused_select("NOPERM this user has no permissions to run the 'select' command", 3), Kind::refused_login,
         "+select");
  expect(of_refused_select("NOAUTH Authentication required.", 3), Kind::refused_login, "password");
  expect(of_refused_select("ERR something else", 3), Kind::unusable, "something else");
}

// ---- no answer ------------------------------------------------------------------------------------------------------

TEST(Diagnosis, OfWhatIsNoRedis) {
  const Failure web{Kind::unusable, "not the protocol of a Redis server: got \"H\" where a reply begins"};
  expect(of_broken_login(web, Transport::plain), Kind::unusable, "host and port");
  const Failure tls{Kind::unusable, R"(not the protocol of a Redis server: got "\x15" where a reply begins)"};
  expect(of_broken_login(tls, Transport::plain), Kind::unusable, "rediss://");
  expect(of_broken_login(tls, Transport::tls), Kind::unusable, "host and port");
}

// So does a server's port for TLS when it is greeted in plain text, and twemproxy when it does not know a command.
TEST(Diagnosis, OfAConnectionThatIsClosedWithoutAWord) {
  for (const auto* how : {"the server closed the connection", "Connection reset by peer", "Broken pipe"}) {
    const Failure closed{Kind::unreachable, how};
    const Failure plain = of_broken_login(closed, Transport::plain);
    expect(plain, Kind::unreachable, how);
    EXPECT_THAT(plain.text, AllOf(HasSubstr("rediss://"), HasSubstr("proxy")));
    const Failure tls = of_broken_login(closed, Transport::tls);
    expect(tls, Kind::unreachable, "proxy");
    EXPECT_THAT(tls.text, Not(HasSubstr("rediss://")));
  }
}

TEST(Diagnosis, LeavesOtherFailuresAlone) {
  for (const Failure& failure :
       {Failure{Kind::unreachable, "no answer within 100 ms (command_timeout)"},
        Failure{Kind::timed_out, "no answer to the login"}, Failure{Kind::cancelled, "cancelled"}}) {
    const Failure same = of_broken_login(failure, Transport::plain);
    EXPECT_EQ(same.kind, failure.kind);
    EXPECT_EQ(same.text, failure.text);
  }
}

// ---- secrets --------------------------------------------------------------------------------------------------------

// A server repeats the command that it does not know, and a proxy anything. None of it is shown where a password was sent.
TEST(Diagnosis, NoPasswordIsShown) {
  for (const auto* refusal : {
           "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'alice' 'Secret' ",
           "ERR wrong: HELLO 3 AUTH alice Secret",
           "wrong: HELLO 3 AUTH alice Secret",
           "Secret",
           "Secret is not welcome",
           "NOAUTH Secret",
           "WRONGPASS alice Secret",
           "NOPERM alice Secret",
           "DENIED Secret",
           "NOPROTO Secret",
           "BUSY Secret",
           "ERR max number of clients reached, Secret",
           "",
       }) {
    const Failure failure = of_refused_hello(refusal, with, "");
    EXPECT_THAT(failure.text, AllOf(Not(HasSubstr("Secret")), Not(HasSubstr("alice")))) << refusal;
    EXPECT_FALSE(failure.text.empty());
  }
}

}  // namespace
}  // namespace redismutex::net::diagnosis
