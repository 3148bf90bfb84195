#include "protocol/witness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const Key key{"stock"}, other_key{"{stock}:2"};
const OwnerId id{{}};
const OwnerId other_id{{.random = 1}};

std::vector<Witness::Item> two_items() { return {{&key, &id}, {&other_key, &other_id}}; }
constexpr Witness::Terms terms{.wanted = 2, .within = 250ms};

std::vector<std::string> behind(const Step& step) {
  const auto& request = std::get<Request>(step);
  EXPECT_TRUE(request.needs_next);
  return {request.next.begin(), request.next.end()};
}

Answer answer(std::vector<std::int64_t> theirs, std::int64_t replicas) {
  Answer answer = integers(std::move(theirs));
  answer.next = replicas;
  return answer;
}

const Witness::Seen& seen(const Witness& machine) { return std::get<Witness::Seen>(machine.outcome()); }

const auto is_question = ElementsAre("EVALSHA", scripts::witness.sha1, "3", "stock", "{stock}:2", "redismutex:witness",
                                     id.text(), other_id.text());

// A WAIT stands right behind a write of the same connection, else it says nothing.
TEST(Witness, WritesAndThenWaits) {
  Witness machine{two_items(), terms};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_question);
  EXPECT_EQ(script(step), &scripts::witness);
  EXPECT_FALSE(std::get<Request>(step).wants_invalidation);
  EXPECT_THAT(behind(step), ElementsAre("WAIT", "2", "250"));
  EXPECT_EQ(machine.key(), &key);
}

TEST(Witness, TellsOfEachByItself) {
  Witness machine{two_items(), terms};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(answer({1, 0}, 3))));
  EXPECT_THAT(seen(machine).theirs, ElementsAre(true, false));
  EXPECT_EQ(seen(machine).replicas, 3);
}

// What is written must be in the slot of the locks.
TEST(Witness, WritesInTheSlotOfACluster) {
  const std::uint16_t slot = slot_of(key.text());
  Witness machine{{{&key, &id}}, {.wanted = 1, .within = 1ms, .slot = slot}};
  const auto words = command(machine.start(at(0s)));
  ASSERT_EQ(words.size(), 6U);
  EXPECT_EQ(words[4], "redismutex:{" + std::string{word_of(slot)} + "}:witness");
  EXPECT_EQ(slot_of(words[4]), slot);
}

TEST(Witness, ALostAnswerIsAskedForAgain) {
  Witness machine{two_items(), terms};
  machine.start(at(0s));
  const Step step = machine.unanswered();
  EXPECT_THAT(command(step), is_question);
  EXPECT_THAT(behind(step), ElementsAre("WAIT", "2", "250"));
}

// While their slot moves there may be no request that names two keys. Enough have all of them if enough have each.
TEST(Witness, AsksForOneAfterTheOther) {
  Witness machine{two_items(), terms};
  machine.start(at(0s));
  const auto first = machine.split(at(0s));
  ASSERT_TRUE(first);
  EXPECT_THAT(command(*first), ElementsAre("EVALSHA", scripts::witness.sha1, "1", "stock", id.text()));
  EXPECT_THAT(behind(*first), ElementsAre("WAIT", "2", "250"));
  const Step second = machine.answered(answer({1}, 1));
  EXPECT_THAT(command(second), ElementsAre("EVALSHA", scripts::witness.sha1, "1", "{stock}:2", other_id.text()));
  EXPECT_FALSE(machine.split(at(0s)));
  EXPECT_TRUE(is_done(machine.answered(answer({1}, 2))));
  EXPECT_THAT(seen(machine).theirs, ElementsAre(true, true));
  EXPECT_EQ(seen(machine).replicas, 1);
}

TEST(Witness, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] : {std::pair{error("NOPERM no right to run the 'wait' command"), "NOPERM"},
                                     std::pair{integers({1}), "UNEXPECTED"}, std::pair{integer(1), "UNEXPECTED"}}) {
    Witness machine{two_items(), terms};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
