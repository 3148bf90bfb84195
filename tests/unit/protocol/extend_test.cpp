#include "protocol/extend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <variant>
#include <vector>

#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const auto is_extend =
    ElementsAre("EVALSHA", scripts::extend.sha1, "2", "stock", "redismutex:{stock}", "0", id.text(), "2500", "1");

const Extend::Extended* extended(const Extend& machine) { return std::get_if<Extend::Extended>(&machine.outcome()); }

bool is_gone(const Extend& machine) { return std::holds_alternative<Extend::Gone>(machine.outcome()); }

// ---- one lease ----

// Extending is one script that compares and sets the expiry; unless told otherwise it shortens nothing and tracks nothing.
TEST(Extend, IsOneAtomicScript) {
  Extend machine{key, id, {.expiry = 2500ms}};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_extend);
  EXPECT_EQ(script(step), &scripts::extend);
  EXPECT_FALSE(wants_invalidation(step));
}

// What was asked for is passed on: a lease that may be shorter, the wish to be told of changes.
TEST(Extend, PassesItsTermsOn) {
  Extend machine{key, id, {.expiry = 2500ms, .longer = Longer::goes, .tracking = Tracking::on}};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), ElementsAre("EVALSHA", scripts::extend.sha1, "2", "stock", "redismutex:{stock}", "1",
                                         id.text(), "2500", "0"));
  EXPECT_TRUE(wants_invalidation(step));
}

// The script's 1 + n is a lease that counts from when this request was sent, and n who wait.
TEST(Extend, MoreThanZeroIsALeaseFromTheTimeOfSending) {
  for (const std::int64_t waiting : {0, 1, 10'000}) {
    Extend machine{key, id, {.expiry = 2500ms}};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(integers({1 + waiting}, {.sent_at = at(100ms), .now = at(900ms)}))));
    ASSERT_TRUE(extended(machine));
    EXPECT_EQ(extended(machine)->sent_at, at(100ms));
    EXPECT_EQ(extended(machine)->waiting, waiting);
    EXPECT_FALSE(machine.in_doubt());
  }
}

// The script's 0 means lost, and there is no next command, not after lost answers either: nothing takes the lock anew.
TEST(Extend, NeverRevivesALostLock) {
  for (const int lost_answers : {0, 1, 2}) {
    Extend machine{key, id, {.expiry = 2500ms}};
    machine.start(at(0s));
    for (int i = 0; i < lost_answers; ++i) EXPECT_THAT(command(machine.unanswered()), is_extend);
    EXPECT_TRUE(is_done(machine.answered(integers({0}))));
    EXPECT_TRUE(is_gone(machine));
    EXPECT_FALSE(extended(machine));
  }
}

// A repeat after a lost answer counts from its own sending, not from the first; and the first may arrive yet.
TEST(Extend, ARepeatCountsFromItsOwnSending) {
  Extend machine{key, id, {.expiry = 2500ms}};
  machine.start(at(0s));
  machine.unanswered();
  EXPECT_TRUE(is_done(machine.answered(integers({1}, {.sent_at = at(2s), .now = at(2s)}))));
  ASSERT_TRUE(extended(machine));
  EXPECT_EQ(extended(machine)->sent_at, at(2s));
  EXPECT_TRUE(machine.in_doubt());
}

// An error, and any answer that the script never has, is reported and extends nothing.
TEST(Extend, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("READONLY You can't write"), "READONLY"}, std::pair{nothing(), "UNEXPECTED"},
        std::pair{text("OK"), "UNEXPECTED"}, std::pair{integer(1), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"},
        std::pair{integers({}), "UNEXPECTED"}, std::pair{integers({1, 1}), "UNEXPECTED"}}) {
    Extend machine{key, id, {.expiry = 2500ms}};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

// Before any answer nothing is extended.
TEST(Extend, IsNotExtendedWithoutAnAnswer) {
  Extend machine{key, id, {.expiry = 2500ms}};
  machine.start(at(0s));
  machine.unanswered();
  EXPECT_FALSE(extended(machine));
}

// ---- many ----

/// One to extend, and one to look at.
std::vector<ExtendMany::Item> two_extensions() { return {{&key, &id, 2500ms}, {&tagged_key, &other_id, 0ms}}; }

// All keys come first, as a script's must, then what is to be done to each. None is shortened.
TEST(ExtendMany, IsOneScriptForAll) {
  ExtendMany machine{two_extensions(), Tracking::on};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step),
              ElementsAre("EVALSHA", scripts::extend.sha1, "4", "stock", "redismutex:{stock}", "{stock}:2",
                          "redismutex::{stock}:2", "1", id.text(), "2500", "1", other_id.text(), "0", "1"));
  EXPECT_EQ(script(step), &scripts::extend);
  EXPECT_TRUE(wants_invalidation(step));
}

// However many they are: the numbers stay where they are while the list grows.
TEST(ExtendMany, TakesHundreds) {
  std::vector<ExtendMany::Item> items;
  for (int i = 0; i < 300; ++i) items.push_back({&key, &id, std::chrono::milliseconds{1000 + i}});
  ExtendMany machine{items, Tracking::off};
  const auto words = command(machine.start(at(0s)));
  ASSERT_EQ(words.size(), 4u + 300 * 5);
  EXPECT_EQ(words[2], "600");
  EXPECT_EQ(words[603], "0");
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(words[605 + 3 * i], std::to_string(1000 + i));
}

// Each has its own fate.
TEST(ExtendMany, TellsOfEachByItself) {
  const Times times{.sent_at = at(5ms), .now = at(9ms)};
  ExtendMany all_well{two_extensions(), Tracking::on};
  all_well.start(at(0s));
  EXPECT_TRUE(is_done(all_well.answered(integers({4, 1}, times))));
  const auto& fates = std::get<std::vector<ExtendMany::Fate>>(all_well.outcome());
  ASSERT_EQ(fates.size(), 2u);
  ASSERT_TRUE(std::holds_alternative<Extend::Extended>(fates[0]));
  EXPECT_EQ(std::get<Extend::Extended>(fates[0]).sent_at, at(5ms));
  EXPECT_EQ(std::get<Extend::Extended>(fates[0]).waiting, 3);
  EXPECT_TRUE(std::holds_alternative<ExtendMany::Looked>(fates[1]));

  ExtendMany all_lost{two_extensions(), Tracking::on};
  all_lost.start(at(0s));
  all_lost.answered(integers({0, 0}, times));
  for (const auto& fate : std::get<std::vector<ExtendMany::Fate>>(all_lost.outcome())) {
    EXPECT_TRUE(std::holds_alternative<Extend::Gone>(fate));
  }
}

// A lost answer is asked for again, with the same command.
TEST(ExtendMany, ALostAnswerIsAskedForAgain) {
  ExtendMany machine{two_extensions(), Tracking::on};
  const auto first = command(machine.start(at(0s)));
  EXPECT_EQ(command(machine.unanswered()), first);
}

// An error, or a list of another length, says nothing of any.
TEST(ExtendMany, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("BUSY Redis is busy"), "BUSY"}, std::pair{integers({1}), "UNEXPECTED"},
        std::pair{integers({1, 1, 1}), "UNEXPECTED"}, std::pair{nothing(), "UNEXPECTED"}}) {
    ExtendMany machine{two_extensions(), Tracking::off};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
