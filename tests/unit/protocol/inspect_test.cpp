#include "protocol/inspect.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/label.hpp"
#include "protocol/owner_id.hpp"
#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = Inspection::State;
using Texts = std::vector<std::optional<std::string_view>>;

constexpr auto moment = 1'800'000'000'000ms;  // since 1970: the server's time in all these answers

std::string id_of(std::chrono::milliseconds asked_at, std::uint64_t random = 0) {
  return std::string{OwnerId{{.tag = {0xabcdef0123}, .asked_at = asked_at, .random = random}}.text()};
}

WallTime wall(std::chrono::microseconds since_1970) { return WallTime{since_1970}; }

std::vector<Key> keys(std::size_t count) {
  std::vector<Key> all;
  for (std::size_t i = 0; i < count; ++i) all.emplace_back("key " + std::to_string(i));
  return all;
}

/// The answer's first words: the server's time.
Texts now_and(const Texts& rest) {
  Texts all{"1800000000", "0"};
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

/// What is made of an answer about one key.
Inspection seen(const Texts& about_key) {
  Inspect machine{keys(1), {.waiters = 5}};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(texts(now_and(about_key)))));
  const auto* all = std::get_if<std::vector<Inspection>>(&machine.outcome());
  if (all == nullptr || all->size() != 1) {
    ADD_FAILURE() << "not one";
    return {};
  }
  return all->front();
}

const Texts no_line{"0", "0", "0"};

Texts joined(Texts first, const Texts& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// One command tells of one key: all its names stand in front, as a script's keys must, and the label's is one of them.
TEST(Inspect, IsOneReadOnlyScript) {
  Inspect machine{{Key{"stock"}}, {.waiters = 20, .offset = 40}};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), ElementsAre("EVALSHA_RO", scripts::inspect.sha1, "4", "stock", "redismutex:{stock}",
                                         "redismutex:floor:{stock}", "redismutex:about:{stock}", "20", "40", "0"));
  EXPECT_EQ(script(step), &scripts::inspect);
}

// A server that has no such command, or a user that may not use it: the other one, for all that follows.
TEST(Inspect, DoesWithoutTheReadOnlyCommand) {
  for (const char* refused : {"ERR unknown command `EVALSHA_RO`, with args beginning with: ",
                              "NOPERM this user has no permissions to run the 'evalsha_ro' command"}) {
    Inspect machine{keys(2), {.waiters = 100}};
    EXPECT_EQ(command(machine.start(at(0s))).front(), "EVALSHA_RO");
    EXPECT_EQ(command(machine.answered(error(refused))).front(), "EVALSHA");
    const Step next =
        machine.answered(texts(now_and(joined({"none", "-2", "0", "", std::nullopt, std::nullopt}, no_line))));
    EXPECT_EQ(command(next).front(), "EVALSHA");
    EXPECT_TRUE(is_done(machine.answered(error(refused))));
    EXPECT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
  }
}

// Many keys go in several commands: the more waiters are told of, the fewer keys are in one.
TEST(Inspect, WorksInBatches) {
  for (const auto& [waiters, in_one] : {std::pair<std::size_t, std::size_t>{0, 32}, {3, 16}, {20, 3}, {100, 1}}) {
    Inspect machine{keys(40), {.waiters = waiters}};
    Step step = machine.start(at(0s));
    std::size_t told = 0;
    while (!is_done(step)) {
      const auto words = command(step);
      const std::size_t count = std::stoul(words.at(2)) / 4;
      ASSERT_EQ(count, std::min(in_one, 40 - told));
      ASSERT_EQ(words.at(3), "key " + std::to_string(told));
      Texts answer;
      for (std::size_t i = 0; i < count; ++i) {
        answer = joined(std::move(answer), joined({"none", "-2", "0", "", std::nullopt, std::nullopt}, no_line));
      }
      told += count;
      step = machine.answered(texts(now_and(answer)));
    }
    const auto& all = std::get<std::vector<Inspection>>(machine.outcome());
    ASSERT_THAT(all, SizeIs(40));
    EXPECT_EQ(all.back().key, "key 39");
  }
}

// No key: nothing to ask.
TEST(Inspect, OfNothingIsNothing) {
  Inspect machine{{}, {}};
  EXPECT_TRUE(is_done(machine.start(at(0s))));
  EXPECT_THAT(std::get<std::vector<Inspection>>(machine.outcome()), IsEmpty());
}

// A free key, with a floor.
TEST(Inspect, TellsThatAKeyIsFree) {
  const Inspection free = seen(joined({"none", "-2", "0", "", "1799999999000000", std::nullopt}, no_line));
  EXPECT_EQ(free.key, "key 0");
  EXPECT_EQ(free.state, State::free);
  EXPECT_EQ(free.seen_at, wall(moment));
  EXPECT_EQ(free.floor, 1799999999000000u);
  EXPECT_FALSE(free.lease_left);
  EXPECT_FALSE(free.label);
}

// One of our own ids tells from which Connection it is, and since when the lock was wanted.
TEST(Inspect, TellsOfALockThatIsHeld) {
  const std::string id = id_of(moment - 5s);
  const Inspection held = seen(joined({"string", "6500", "36", id, std::nullopt, std::nullopt}, no_line));
  EXPECT_EQ(held.state, State::held);
  EXPECT_EQ(held.value, id);
  EXPECT_EQ(held.tag, "abcdef0123");
  EXPECT_EQ(held.asked_at, wall(moment - 5s));
  EXPECT_EQ(held.lease_left, 6500ms);
}

// Other values, UUIDs of others among them, are foreign; a key that has no end has no lease.
TEST(Inspect, TellsWhatIsForeign) {
  for (const std::string& value : {std::string{"locked"}, std::string{}, std::string(128, 'x'),
                                   std::string{"0b5c7b9e-3c1d-4a57-9d0e-6f2a8c4e1b73"}, id_of(0ms),
                                   id_of(moment - 24h * 400), id_of(moment + 48h)}) {
    const std::string size = std::to_string(value.size());
    const Inspection other = seen(joined({"string", "-1", size, value, std::nullopt, std::nullopt}, no_line));
    EXPECT_EQ(other.state, State::foreign) << value;
    EXPECT_EQ(other.value, value);
    EXPECT_EQ(other.value_size, value.size());
    EXPECT_EQ(other.tag, "");
    EXPECT_FALSE(other.asked_at);
    EXPECT_FALSE(other.lease_left);
  }
}

// Something else than a string is named.
TEST(Inspect, TellsWhatIsNoLock) {
  const Inspection list = seen(joined({"list", "-1", "0", "", std::nullopt, std::nullopt}, no_line));
  EXPECT_EQ(list.state, State::not_a_lock);
  EXPECT_EQ(list.type, "list");
}

// The label counts for the owner that wrote it only; what can not be read is none.
TEST(Inspect, ReadsLabels) {
  const std::string id = id_of(moment - 24h * 500);  // too old to be believed without
  const std::string good = "1 " + id + " 1756800000123 7000 42 the night's import";
  const Inspection held = seen(joined({"string", "6500", "36", id, std::nullopt, good}, no_line));
  EXPECT_EQ(held.state, State::held);
  ASSERT_TRUE(held.label);
  EXPECT_EQ(held.label->text, "the night's import");
  EXPECT_EQ(held.label->since, wall(1'756'800'000'123ms));
  EXPECT_EQ(held.label->expiry, 7s);
  EXPECT_EQ(held.label->token, 42u);
  EXPECT_FALSE(held.label->left);
  const std::string another = id_of(moment);
  EXPECT_FALSE(seen(joined({"string", "6500", "36", another, std::nullopt, good}, no_line)).label);

  EXPECT_TRUE(read_label("1 " + id + " 5 -6 0 ", id)->left);
  EXPECT_EQ(read_label("1 " + id + " 5 -6 0 ", id)->expiry, 6ms);
  EXPECT_EQ(read_label("1 " + id + " 5 6 0 ", id)->text, "");
  EXPECT_EQ(read_label("1 " + id + " 5 6 0", id)->text, "");
  EXPECT_FALSE(read_label("1 " + id + " 5 6 0 x", id)->token);
  EXPECT_EQ(read_label("1 " + id + " 5 6 0 " + std::string(600, 'x'), id)->text.size(), longest_label_text);
  for (const std::string& bad :
       {std::string{}, "2 " + id + " 5 6 0 x", "1 " + id, "1 " + id + " x 6 0 x", "1 " + id + " -5 6 0 x",
        "1 " + id + " 5 --6 0 x", "1 " + id + " 5 - 0 x", "1 " + id + " 5 99999999999999999999 0 x",
        "1 " + id + " 9223372036854775807 6 0 x", std::string{"1  5 6 0 x"}}) {
    EXPECT_FALSE(read_label(bad, id)) << bad;
  }
}

/// A place that says what it should, with these details.
std::string place(const std::string& details, std::uint64_t random = 0) { return id_of(moment - 3s, random) + details; }

// The first in line, each with its place, since when it waits, whether it is alive and whether anybody listens.
TEST(Inspect, TellsOfThoseInLine) {
  const std::string first = place("0sredismutex:wake:0123456789"), second = place("516000 pchannel", 1),
                    third = place("0-", 2), fourth = place("9later", 3);
  const Inspection all = seen(joined({"string", "6500", "36", id_of(moment), std::nullopt, std::nullopt, "2", "7", "4"},
                                     {first, "1799999997000000", "1", "1",   //
                                      second, "1799999998000000", "0", "0",  //
                                      third, "1799999998000001", "0", "",    //
                                      fourth, "1.799999998000002e+15", "1", "-"}));
  EXPECT_EQ(all.waiting, 2u);
  EXPECT_EQ(all.places, 7u);
  EXPECT_EQ(all.unreadable, 0u);
  EXPECT_FALSE(all.line_is_broken);
  ASSERT_THAT(all.waiters, SizeIs(4));
  const auto& [a, b, c, d] = std::tie(all.waiters[0], all.waiters[1], all.waiters[2], all.waiters[3]);
  EXPECT_EQ(a.position, 1u);
  EXPECT_EQ(a.id, first.substr(0, 36));
  EXPECT_EQ(a.details, first.substr(36));
  EXPECT_EQ(a.tag, "abcdef0123");
  EXPECT_EQ(a.asked_at, wall(moment - 3s));
  EXPECT_EQ(a.waiting_since, wall(moment - 3s));
  EXPECT_TRUE(a.alive);
  EXPECT_EQ(a.connected, true);
  EXPECT_FALSE(a.wants_token);
  EXPECT_FALSE(b.alive);
  EXPECT_EQ(b.connected, false);
  EXPECT_TRUE(b.wants_token);
  EXPECT_FALSE(c.alive);
  EXPECT_FALSE(c.connected.has_value());
  EXPECT_TRUE(d.alive);
  EXPECT_FALSE(d.connected.has_value());
  EXPECT_FALSE(d.wants_token);
  EXPECT_EQ(d.position, 4u);
  EXPECT_THAT(all.missing_rights, ElementsAre("+pubsub|numsub"));
}

// Positions go on where a page begins.
TEST(Inspect, CountsPositionsFromTheFirstInLine) {
  Inspect machine{keys(1), {.waiters = 5, .offset = 100}};
  machine.start(at(0s));
  const std::string one = place("0sx");
  machine.answered(texts(now_and(
      {"none", "-2", "0", "", std::nullopt, std::nullopt, "1", "101", "1", one, "1799999997000000", "1", "-"})));
  const auto& all = std::get<std::vector<Inspection>>(machine.outcome());
  ASSERT_THAT(all, SizeIs(1));
  ASSERT_THAT(all[0].waiters, SizeIs(1));
  EXPECT_EQ(all[0].waiters[0].position, 101u);
  EXPECT_THAT(all[0].missing_rights, ElementsAre("+pubsub|shardnumsub"));
}

// Rubbish in a line is counted, and hides nobody.
TEST(Inspect, CountsWhatCanNotBeRead) {
  const std::string good = place("0-"), life = id_of(moment);
  const Inspection all =
      seen(joined({"none", "-2", "0", "", "not a number", "1", "1", "6", "6"}, {"",   "1",    "0",
                                                                                "",  //
                                                                                "x",  "-inf", "0",
                                                                                "",  //
                                                                                life, "3",    "1",
                                                                                "",  //
                                                                                good, "-1",   "1",
                                                                                "",  //
                                                                                good, "nan",  "1",
                                                                                "",  //
                                                                                good, "5",    "1", ""}));
  EXPECT_EQ(all.unreadable, 5u);
  ASSERT_THAT(all.waiters, SizeIs(1));
  EXPECT_EQ(all.waiters[0].position, 6u);
  EXPECT_FALSE(all.floor);
  const Inspection broken = seen({"none", "-2", "0", "", std::nullopt, std::nullopt, "0", "-1", "0"});
  EXPECT_TRUE(broken.line_is_broken);
  EXPECT_EQ(broken.places, 0u);
}

// A search leaves out what is no lock.
TEST(Inspect, LeavesOutWhatIsNoLock) {
  Inspect machine{keys(3), {.which = Inspect::Which::only_locks}};
  EXPECT_EQ(command(machine.start(at(0s))).back(), "1");
  const Texts free = joined({"none", "-2", "0", "", std::nullopt, std::nullopt}, no_line);
  EXPECT_TRUE(is_done(machine.answered(texts(now_and(joined(joined({"-"}, free), {"-"}))))));
  const auto& all = std::get<std::vector<Inspection>>(machine.outcome());
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all.front().key, "key 1");
}

// A lost answer is asked for again, with the same command.
TEST(Inspect, ALostAnswerIsAskedForAgain) {
  Inspect machine{keys(2), {}};
  const auto first = command(machine.start(at(0s)));
  EXPECT_EQ(command(machine.unanswered()), first);
  EXPECT_EQ(command(machine.unanswered()), first);
}

// Whatever else is answered tells nothing: an answer that is cut short, or goes on, too.
TEST(Inspect, AnyOtherAnswerIsARefusal) {
  const Texts whole = now_and(joined({"none", "-2", "0", "", std::nullopt, std::nullopt}, no_line));
  std::vector<std::pair<Answer, std::string>> answers{{error("BUSY Redis is busy"), "BUSY"},
                                                      {nothing(), "UNEXPECTED"},
                                                      {integers({1}), "UNEXPECTED"},
                                                      {texts(joined(whole, {"more"})), "UNEXPECTED"}};
  for (std::size_t length = 0; length < whole.size(); ++length) {
    answers.emplace_back(texts({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}), "UNEXPECTED");
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == "" || !whole[i] || whole[i] == "none") continue;
    Texts odd = whole;
    odd[i] = "odd";
    answers.emplace_back(texts(odd), "UNEXPECTED");
  }
  for (const auto& [answer, code] : answers) {
    Inspect machine{keys(1), {}};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
