// A lock that is one of several servers' is offered to those who came earlier: what the script does with it, and with the line.

#include <gtest/gtest-spi.h>

#include <optional>
#include <string>
#include <vector>

#include "integration/contender.hpp"
#include "protocol/script.hpp"
#include "support/resp_socket.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

const std::string key = "key";
const std::string line_name = "redismutex:{key}";
const std::string floor_key = "redismutex:floor:{key}";

constexpr long long lease_ms = 60'000;

/// Somebody who wants the lock, and came at the microsecond `ticket`.
class Caller {
 public:
  struct Is {
    char letter;  ///< of which the id consists: ids are compared as bytes
    int ticket;
    bool fenced = false;
    bool listens = true;  ///< so that it can be told
  };

  Caller(Server& server, const Is& is)
      : id{std::string(36, is.letter)},
        ticket{std::to_string(is.ticket)},
        details{(is.fenced ? "1p" : "0p") + channel(is.letter)},
        listener_{RespSocket::to_unix(server.socket_path())} {
    if (!is.listens) return;
    listener_.send(std::vector<std::string_view>{"SUBSCRIBE", std::string_view{details}.substr(2)});
    listener_.receive(limit);
  }

  /// The next message within that time.
  std::optional<std::string> message(std::chrono::milliseconds within = limit) {
    const net::Reply push = listener_.receive(within);
    return push && (*push).size() == 3 ? std::optional{std::string{(*push)[2].text()}} : std::nullopt;
  }
  bool is_told_nothing() { return message(quiet_time) == std::nullopt; }

  const std::string id, ticket, details;

 private:
  static std::string channel(char letter) { return std::string("mailbox-") + letter; }

  RespSocket listener_;
};

/// What acquire.lua answers.
struct Answer {
  enum State { held, in_line, no_place, ask_again, refused };

  State state = refused;
  std::optional<long long> pttl;  ///< of the present lease; told to the first in line
  long long token = 0;
  std::string error;
};

/// A server and the script, perhaps with a mistake.
struct Bench {
  Server& server;
  std::string script;

  struct How {
    bool yields = false;
    std::string most = "100";
    std::string was = "";
  };

  Answer ask(const Caller& caller, const How& how) {
    std::vector<std::string> command{
        "EVAL",         script,   "3",      key,     line_name,    floor_key, caller.id, std::to_string(lease_ms),
        caller.details, "100000", how.most, how.was, caller.ticket};
    if (how.yields) command.emplace_back("1");
    const Reply reply = server.command(command);
    if (reply.is_error() || reply.elements.size() < 2) return {.error = reply.text};
    Answer answer{.state = static_cast<Answer::State>(reply.elements[0].integer)};
    if (reply.elements.size() < 3) return answer;
    const long long third = reply.elements[2].integer;
    if (answer.state == Answer::held) {
      answer.token = third;
    } else {
      answer.pttl = third;
    }
    return answer;
  }
  Answer line_up(const Caller& caller) { return ask(caller, {}); }
  Answer yield(const Caller& caller) { return ask(caller, {.yields = true}); }

  /// As SET does it.
  void give(const Caller& caller, long long ms = 5000) {
    server.command({"SET", key, caller.id, "PX", std::to_string(ms)});
  }
  std::string owner() { return server.get(key).value_or("nobody"); }

  /// The ids of those in line, the first one first.
  std::vector<std::string> waiting() {
    std::vector<std::string> ids;
    for (const Reply& place : server.command({"ZRANGEBYSCORE", line_name, "-inf", "(4000000000000000"}).elements) {
      ids.push_back(place.text.substr(0, 36));
    }
    return ids;
  }
  std::string ticket_of(const Caller& caller) {
    return server.command({"ZSCORE", line_name, caller.id + caller.details}).text;
  }
};

// ---- who has it afterwards ------------------------------------------------------------------------------------------

// Nobody else wants it: it is the caller's as before, with a full lease, or a longer one if it has that.
void keeps_what_nobody_else_wants(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  bench.give(holder);
  EXPECT_EQ(bench.yield(holder).state, Answer::held);
  EXPECT_EQ(bench.owner(), holder.id);
  EXPECT_GT(bench.server.pttl(key), 5000);
  bench.give(holder, 2 * lease_ms);
  EXPECT_EQ(bench.yield(holder).state, Answer::held);
  EXPECT_GT(bench.server.pttl(key), lease_ms);
  EXPECT_TRUE(bench.waiting().empty());
}

// Whoever came earlier gets it, with a short lease, and is told; the caller is in line, where its ticket puts it.
void gives_it_to_whoever_came_earlier(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  Caller later(bench.server, {.letter = 'c', .ticket = 300});
  bench.give(holder);
  bench.line_up(later);
  bench.line_up(earlier);
  const Answer answer = bench.yield(holder);
  EXPECT_EQ(answer.state, Answer::in_line);
  EXPECT_GT(answer.pttl.value_or(-2), 0) << "it is the first there";
  ASSERT_EQ(bench.owner(), earlier.id);
  EXPECT_LE(bench.server.pttl(key), 1000);
  EXPECT_EQ(bench.waiting(), (std::vector{holder.id, later.id}));
  EXPECT_EQ(bench.ticket_of(holder), "200");
  EXPECT_EQ(earlier.message().value_or("").find(earlier.id + " 1000 "), 0);
}

// Whoever came later does not.
void keeps_it_from_whoever_came_later(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller later(bench.server, {.letter = 'b', .ticket = 300});
  bench.give(holder);
  bench.line_up(later);
  EXPECT_EQ(bench.yield(holder).state, Answer::held);
  EXPECT_EQ(bench.owner(), holder.id);
  EXPECT_GT(bench.server.pttl(key), 5000);
  bench.give(holder, 2 * lease_ms);
  EXPECT_EQ(bench.yield(holder).state, Answer::held);
  EXPECT_GT(bench.server.pttl(key), lease_ms) << "a longer lease stays as it is";
  EXPECT_EQ(bench.waiting(), std::vector{later.id});
  EXPECT_TRUE(later.is_told_nothing());
}

// Of two that came in the same microsecond the one with the lower id was there earlier; as the server compares bytes.
void decides_by_the_id_between_equals(Bench bench) {
  Caller upper(bench.server, {.letter = 'Z', .ticket = 200});
  Caller lower(bench.server, {.letter = 'a', .ticket = 200});
  bench.give(upper);
  bench.line_up(lower);
  EXPECT_EQ(bench.yield(upper).state, Answer::held);
  bench.server.command({"DEL", key, line_name});
  bench.give(lower);
  bench.line_up(upper);
  EXPECT_EQ(bench.yield(lower).state, Answer::in_line);
  EXPECT_EQ(bench.owner(), upper.id);
}

// Whoever came earlier, but is dead, or can not be told, gets nothing.
void passes_over_those_who_can_not_have_it(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller dead(bench.server, {.letter = 'b', .ticket = 100});
  Caller absent(bench.server, {.letter = 'c', .ticket = 110, .listens = false});
  Caller later(bench.server, {.letter = 'd', .ticket = 300});
  bench.give(holder);
  bench.line_up(later);
  bench.line_up(absent);
  bench.line_up(dead);
  bench.server.command({"ZADD", line_name, "XX", "4000000000000001", dead.id});
  ASSERT_EQ(bench.yield(holder).state, Answer::held);
  EXPECT_EQ(bench.waiting(), (std::vector{absent.id, later.id}));
  EXPECT_EQ(bench.owner(), holder.id);
  EXPECT_TRUE(dead.is_told_nothing());
}

// ---- the line -------------------------------------------------------------------------------------------------------

// It has been in line already: no limit keeps it out.
void goes_back_into_a_full_line(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  Caller later(bench.server, {.letter = 'c', .ticket = 300});
  bench.give(holder);
  bench.line_up(earlier);
  bench.line_up(later);
  EXPECT_EQ(bench.ask(holder, {.yields = true, .most = "2"}).state, Answer::in_line);
  EXPECT_EQ(bench.owner(), earlier.id);
  EXPECT_EQ(bench.waiting(), (std::vector{holder.id, later.id}));
}

// It may have a place still, because the message with which it was handed the lock crossed with a question; and that under
// another mailbox.
void has_one_place(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  bench.give(earlier);
  bench.line_up(holder);
  bench.give(holder);
  bench.line_up(earlier);
  EXPECT_EQ(bench.yield(holder).state, Answer::in_line);
  EXPECT_EQ(bench.waiting(), std::vector{holder.id});
  bench.server.command({"DEL", line_name});
  bench.server.command({"ZADD", line_name, "200", holder.id + "0pformer", "5000000000000000", holder.id});
  bench.give(holder);
  bench.line_up(earlier);
  EXPECT_EQ(bench.ask(holder, {.yields = true, .was = "0pformer"}).state, Answer::in_line);
  EXPECT_EQ(bench.waiting(), std::vector{holder.id});
  EXPECT_EQ(bench.ticket_of(holder), "200");
}

// ---- asked in other ways --------------------------------------------------------------------------------------------

// Only what is the caller's is given: else it is a line-up like any other.
void lines_up_if_it_is_not_the_owner(Bench bench) {
  Caller caller(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  Caller owner(bench.server, {.letter = 'c', .ticket = 50});
  EXPECT_EQ(bench.yield(caller).state, Answer::held) << "a free key";
  bench.give(owner);
  bench.line_up(earlier);
  EXPECT_EQ(bench.ask(caller, {.yields = true, .most = "1"}).state, Answer::no_place);
  EXPECT_EQ(bench.yield(caller).state, Answer::in_line);
  EXPECT_EQ(bench.owner(), owner.id);
  EXPECT_EQ(bench.waiting(), (std::vector{earlier.id, caller.id}));
  EXPECT_TRUE(earlier.is_told_nothing());
}

// Its answer may be lost, so it is asked twice: the second time nothing happens, or the same once more.
void may_be_repeated(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  Caller between(bench.server, {.letter = 'c', .ticket = 150});
  bench.give(holder);
  bench.line_up(earlier);
  bench.yield(holder);
  EXPECT_EQ(bench.yield(holder).state, Answer::in_line);
  EXPECT_EQ(bench.owner(), earlier.id);
  EXPECT_EQ(bench.waiting(), std::vector{holder.id});
  bench.line_up(between);
  EXPECT_EQ(bench.yield(earlier).state, Answer::held);
  bench.give(holder);
  EXPECT_EQ(bench.yield(holder).state, Answer::in_line);
  EXPECT_EQ(bench.owner(), between.id);
  EXPECT_EQ(bench.waiting(), std::vector{holder.id});
  EXPECT_EQ(bench.ticket_of(holder), "200");
}

// Without a ticket it came last.
void goes_to_the_end_without_a_ticket(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller other(bench.server, {.letter = 'b', .ticket = 300});
  bench.give(holder);
  bench.line_up(other);
  const Reply reply = bench.server.command({"EVAL", bench.script, "3", key, line_name, floor_key, holder.id, "60000",
                                            holder.details, "100000", "100", "", "", "1"});
  ASSERT_EQ(reply.elements.size(), 3U) << reply.text;
  EXPECT_EQ(reply.elements[0].integer, Answer::in_line);
  EXPECT_EQ(bench.owner(), other.id);
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

// Whoever gets it has a higher token than the caller had, whatever the clock says.
void hands_on_a_higher_token(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200, .fenced = true});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100, .fenced = true});
  constexpr long long ahead = 8'000'000'000'000'000;
  bench.server.command({"SET", floor_key, std::to_string(ahead), "PX", "60000"});
  EXPECT_EQ(bench.line_up(holder).token, ahead + 1);
  const Answer kept = bench.yield(holder);
  EXPECT_EQ(kept.token, ahead + 2);
  bench.line_up(earlier);
  ASSERT_EQ(bench.yield(holder).state, Answer::in_line);
  const std::string message = earlier.message().value_or("");
  EXPECT_EQ(message.substr(message.rfind(' ') + 1), std::to_string(ahead + 3));
}

// ---- a server that refuses ------------------------------------------------------------------------------------------

// Then all is as it was, and nobody is told anything.
void is_refused_as_a_whole(Bench bench) {
  Caller holder(bench.server, {.letter = 'a', .ticket = 200});
  Caller earlier(bench.server, {.letter = 'b', .ticket = 100});
  bench.give(holder);
  bench.line_up(earlier);
  const std::string before = bench.server.command({"DUMP", line_name}).text;
  for (const auto& [setting, value, back] : {std::array{"maxmemory", "1", "0"}, {"min-replicas-to-write", "1", "0"}}) {
    // Redis 6 does not look at those for what a script does.
    if (std::string{setting} == "min-replicas-to-write" && bench.server.version() < Version{6, 2, 0}) continue;
    bench.server.command({"CONFIG", "SET", setting, value});
    const Answer answer = bench.yield(holder);
    EXPECT_EQ(answer.state, Answer::refused) << setting;
    bench.server.command({"CONFIG", "SET", setting, back});
    EXPECT_EQ(bench.server.command({"DUMP", line_name}).text, before) << setting;
  }
  EXPECT_EQ(bench.owner(), holder.id);
  EXPECT_TRUE(earlier.is_told_nothing());
}

// ---- all of them ----------------------------------------------------------------------------------------------------

struct Property {
  std::string name;
  void (*hold)(Bench bench);
};

void PrintTo(const Property& property, std::ostream* out) { *out << property.name; }

const std::vector<Property> properties{{"KeepsWhatNobodyElseWants", keeps_what_nobody_else_wants},
                                       {"GivesItToWhoeverCameEarlier", gives_it_to_whoever_came_earlier},
                                       {"KeepsItFromWhoeverCameLater", keeps_it_from_whoever_came_later},
                                       {"DecidesByTheIdBetweenEquals", decides_by_the_id_between_equals},
                                       {"PassesOverThoseWhoCanNotHaveIt", passes_over_those_who_can_not_have_it},
                                       {"GoesBackIntoAFullLine", goes_back_into_a_full_line},
                                       {"HasOnePlace", has_one_place},
                                       {"LinesUpIfItIsNotTheOwner", lines_up_if_it_is_not_the_owner},
                                       {"MayBeRepeated", may_be_repeated},
                                       {"GoesToTheEndWithoutATicket", goes_to_the_end_without_a_ticket},
                                       {"HandsOnAHigherToken", hands_on_a_higher_token},
                                       {"IsRefusedAsAWhole", is_refused_as_a_whole}};

class Yield : public ::testing::TestWithParam<Property> {};

TEST_P(Yield, Holds) {
  Server server;
  GetParam().hold({.server = server, .script = std::string{protocol::scripts::acquire.source}});
}

INSTANTIATE_TEST_SUITE_P(All, Yield, ::testing::ValuesIn(properties),
                         [](const auto& tested) { return tested.param.name; });

/// A mistake in the script, which some of those find.
struct Mistake {
  std::string name, says, in_place_of;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class YieldMutants : public ::testing::TestWithParam<Mistake> {};

TEST_P(YieldMutants, AreFound) {
  const auto& [name, says, in_place_of] = GetParam();
  std::string script{protocol::scripts::acquire.source};
  const auto place = script.find(in_place_of);
  ASSERT_NE(place, std::string::npos) << "no place for the mutant";
  script.replace(place, in_place_of.size(), says);
  ::testing::TestPartResultArray found;
  {
    const ::testing::ScopedFakeTestPartResultReporter intercepted{
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &found};
    Server server;
    for (const Property& property : properties) {
      if (found.size() > 0) break;
      server.command({"FLUSHALL"});
      property.hold({.server = server, .script = script});
    }
  }
  EXPECT_GT(found.size(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, YieldMutants,
    ::testing::Values(
        Mistake{"NeverYields", "false", "owner == id and ARGV[8] == '1'"},
        Mistake{"GivesWhatIsNotTheCallers", "ARGV[8] == '1'", "owner == id and ARGV[8] == '1'"},
        Mistake{"YieldsToThoseWhoCameLater", "ticket = ticket or", "ticket = ticket or ARGV[7] ~= '' and ARGV[7] or"},
        Mistake{"LooksAtTheLineBeforeItStandsThere", "",
                "if first and (was ~= '' or ARGV[7] ~= '') then first, second = head() end"},
        Mistake{"Shortens", "", "if left > tonumber(expiry) then expiry = string.format('%d', left) end"},
        Mistake{"ShortensWhatNobodyElseWants", "if true then", "if redis.call('PTTL', key) < tonumber(expiry) then"},
        Mistake{"ExtendsNothing", "if false then", "if redis.call('PTTL', key) < tonumber(expiry) then"},
        Mistake{"IsKeptOutByTheLimit", "", "not yields and "},
        Mistake{"GivesWithoutLiningUp", "", "redis.call('ZADD', line, life, id, ticket, place)"},
        Mistake{"FreesIt", "redis.call('DEL', key)", "owner = false"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace redismutex::testing
