// What is said to a server first, and what its answers mean, byte by byte. (Why a refusal is what it is: diagnosis_test.cpp.)

#include "net/login.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <variant>

#include "net/wire.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Failure::Kind;

constexpr Deadline overdue_at = Deadline{} + 5s;
constexpr auto greeting = "%2\r\n+server\r\n+redis\r\n+id\r\n:7\r\n"sv;
constexpr auto sentinel = "%1\r\n+mode\r\n+sentinel\r\n"sv;
const Failure closed{Kind::unreachable, "the server closed the connection"};

/// One login, and the server's side of it.
struct Talk {
  explicit Talk(Login::Settings settings = {}) : login{wire, std::move(settings)} {}

  /// The words of what is sent next, a comma between two commands.
  std::string said() {
    step();
    std::string words;
    for (std::string_view bytes = wire.outgoing(); !bytes.empty(); bytes = wire.outgoing()) {
      wire.sent(bytes.size());
      while (!bytes.empty()) {
        const std::string_view line = bytes.substr(0, bytes.find("\r\n"));
        bytes.remove_prefix(line.size() + 2);
        if (line.starts_with('*')) words += words.empty() ? "" : ",";
        if (line.starts_with('*') || line.starts_with('$')) continue;
        words += (words.empty() || words.ends_with(',') ? "" : " ") + std::string{line};
      }
    }
    return words;
  }

  void answer(std::string_view bytes) {
    Calls over;
    std::vector<Reply> pushes;
    wire.received(bytes, over, pushes);
    step();
  }

  void step() {
    if (!outcome) outcome = login.step(overdue_at);
  }

  Failure failure() {
    step();
    return outcome && std::holds_alternative<Failure>(*outcome) ? std::get<Failure>(*outcome)
                                                                : Failure{Kind::cancelled, "none"};
  }

  bool is_in() const { return outcome && std::holds_alternative<Greeting>(*outcome); }

  Wire wire;
  Login login;
  std::optional<std::variant<Greeting, Failure>> outcome;
};

const Login::Settings alice{.username = "alice", .password = "secret"};

TEST(LoginSteps, OneRoundTrip) {
  for (const auto& [settings, expected] : {
           std::pair{Login::Settings{}, "HELLO 3"},
           {Login::Settings{.password = "secret"}, "HELLO 3 AUTH default secret"},
           {alice, "HELLO 3 AUTH alice secret"},
           {Login::Settings{.username = "guest"}, "HELLO 3 AUTH guest "},
       }) {
    Talk talk{settings};
    EXPECT_EQ(talk.said(), expected);
    EXPECT_EQ(talk.wire.next_deadline(), overdue_at);
    EXPECT_FALSE(talk.outcome);
    talk.answer(greeting);
    ASSERT_TRUE(talk.is_in());
    EXPECT_EQ(std::get<Greeting>(*talk.outcome).client_id, 7);
  }
}

TEST(LoginSteps, TheDatabaseIsSelectedInTheSameRoundTrip) {
  Talk talk{{.db = 12}};
  EXPECT_EQ(talk.said(), "HELLO 3,SELECT 12");
  talk.answer(greeting);
  EXPECT_FALSE(talk.outcome);
  talk.answer("+OK\r\n");
  EXPECT_TRUE(talk.is_in());
}

TEST(LoginSteps, TheDatabaseIsRefused) {
  Talk talk{{.db = 12}};
  (void)talk.said();
  talk.answer(greeting);
  talk.answer("-ERR DB index is out of range\r\n");
  EXPECT_EQ(talk.failure().kind, Kind::unusable);
  EXPECT_THAT(talk.failure().text, HasSubstr("database 12"));
}

// Answers may come in any pieces, and nothing is decided before it is known.
TEST(LoginSteps, AnswersInPieces) {
  Talk talk{{.db = 1}};
  (void)talk.said();
  const std::string answers = std::string{greeting} + "+OK\r\n";
  for (const char c : answers) {
    EXPECT_FALSE(talk.outcome);
    talk.answer({&c, 1});
  }
  EXPECT_TRUE(talk.is_in());
}

TEST(LoginSteps, WrongPasswordIsAskedAboutOnce) {
  Talk talk{alice};
  (void)talk.said();
  talk.answer("-WRONGPASS invalid username-password pair\r\n");
  EXPECT_EQ(talk.said(), "HELLO 3") << "it may be a sentinel, which has other users";
  talk.answer("-NOAUTH HELLO must be called with the client already authenticated\r\n");
  EXPECT_EQ(talk.failure().kind, Kind::refused_login);
  EXPECT_THAT(talk.failure().text, AllOf(HasSubstr("WRONGPASS"), Not(HasSubstr("secret"))));
}

TEST(LoginSteps, WrongPasswordForASentinel) {
  Talk talk{alice};
  (void)talk.said();
  talk.answer("-WRONGPASS invalid username-password pair\r\n");
  (void)talk.said();
  talk.answer(sentinel);
  EXPECT_EQ(talk.failure().kind, Kind::unusable);
  EXPECT_THAT(talk.failure().text, HasSubstr("sentinel"));
}

// Redis 6.0 asks whether the default user may say HELLO before it looks at the AUTH within.
TEST(LoginSteps, AuthenticationBeforeHello) {
  Talk talk{{.username = "alice", .password = "secret", .db = 3}};
  EXPECT_EQ(talk.said(), "HELLO 3 AUTH alice secret,SELECT 3");
  talk.answer("-NOPERM this user has no permissions\r\n-NOAUTH\r\n");
  EXPECT_EQ(talk.said(), "AUTH alice secret,HELLO 3,SELECT 3");
  talk.answer("+OK\r\n");
  EXPECT_FALSE(talk.outcome);
  talk.answer(greeting);
  EXPECT_FALSE(talk.outcome);
  talk.answer("+OK\r\n");
  EXPECT_TRUE(talk.is_in());
}

// The calls of the first introduction serve for the second.
TEST(LoginSteps, AuthenticationBeforeHelloAfterALongRefusal) {
  const std::string whole =
      "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"
      "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
  for (const std::size_t size : {80U, 200U}) {
    Talk talk{{.username = "alice", .password = "secret", .db = 3}};
    (void)talk.said();
    std::string refusal = "-NOPERM this user has no permissions to run the 'hello' command or its subcommand";
    refusal.resize(1 + size, '.');
    talk.answer(refusal + "\r\n-NOAUTH\r\n");
    EXPECT_EQ(talk.said(), "AUTH alice secret,HELLO 3,SELECT 3");
    talk.answer("+OK\r\n" + whole);
    EXPECT_FALSE(talk.outcome);
    talk.answer("+OK\r\n");
    EXPECT_TRUE(talk.is_in());
  }
}

TEST(LoginSteps, AuthenticationBeforeHelloIsRefusedToo) {
  Talk talk{alice};
  (void)talk.said();
  talk.answer("-NOPERM this user has no permissions\r\n");
  (void)talk.said();
  talk.answer("-WRONGPASS invalid username-password pair\r\n-NOPERM\r\n");
  EXPECT_EQ(talk.failure().kind, Kind::refused_login);
  EXPECT_THAT(talk.failure().text, HasSubstr("WRONGPASS"));
}

TEST(LoginSteps, OldServersAreAskedForTheirVersion) {
  Talk talk{{.password = "secret"}};
  (void)talk.said();
  talk.answer("-ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `default` `secret`\r\n");
  EXPECT_EQ(talk.said(), "AUTH secret,INFO server");
  talk.answer("+OK\r\n$21\r\nredis_version:5.0.14\n\r\n");
  EXPECT_EQ(talk.failure().kind, Kind::unusable);
  EXPECT_THAT(talk.failure().text, AllOf(HasSubstr("5.0.14"), Not(HasSubstr("secret"))));
}

TEST(LoginSteps, WhatIsNoGreeting) {
  Talk talk;
  (void)talk.said();
  talk.answer("+OK\r\n");
  EXPECT_EQ(talk.failure().kind, Kind::unusable);
}

// ---- cut short ------------------------------------------------------------------------------------------------------

TEST(LoginSteps, ClosedBeforeAnyAnswer) {
  Talk talk;
  EXPECT_EQ(talk.login.cut_short(closed).text, closed.text) << "before anything was said";
  (void)talk.said();
  EXPECT_EQ(talk.login.cut_short(closed).kind, Kind::unreachable);
  EXPECT_THAT(talk.login.cut_short(closed).text, HasSubstr("rediss://"));
}

TEST(LoginSteps, ClosedBetweenTwoAnswers) {
  Talk talk{{.db = 1}};
  (void)talk.said();
  talk.answer(greeting);
  EXPECT_EQ(talk.login.cut_short(closed).text, closed.text);
}

// A server that is full says so and closes the connection: what it said is the reason.
TEST(LoginSteps, ClosedAfterARefusal) {
  Talk talk{{.db = 1}};
  (void)talk.said();
  talk.answer("-ERR max number of clients reached\r\n");
  EXPECT_EQ(talk.login.cut_short(closed).kind, Kind::turned_away);
}

// The question is of use only if it is answered: else the refusal says what there is to say.
TEST(LoginSteps, ClosedAfterTheQuestion) {
  Talk talk{alice};
  (void)talk.said();
  talk.answer("-WRONGPASS invalid username-password pair\r\n");
  (void)talk.said();
  EXPECT_EQ(talk.login.cut_short(closed).kind, Kind::refused_login);
}

TEST(LoginSteps, ClosedBeforeAuthenticationIsAnswered) {
  Talk talk{alice};
  (void)talk.said();
  talk.answer("-NOPERM this user has no permissions\r\n");
  (void)talk.said();
  EXPECT_EQ(talk.login.cut_short(closed).text, closed.text);
}

// ---- names ----------------------------------------------------------------------------------------------------------

TEST(LoginSteps, NamesAreToldToServersThatKnowThem) {
  Talk talk;
  tell_names(talk.wire, {.server = "redis", .version = {7, 0, 15}}, "night", overdue_at);
  EXPECT_EQ(talk.wire.in_flight(), 1U);
  tell_names(talk.wire, {.server = "redis", .version = {7, 2, 0}}, "night", overdue_at);
  EXPECT_EQ(talk.wire.in_flight(), 4U);
  EXPECT_THAT(std::string{talk.wire.outgoing()}, HasSubstr("SETNAME\r\n$5\r\nnight\r\n"));
}

}  // namespace
}  // namespace redismutex::net
