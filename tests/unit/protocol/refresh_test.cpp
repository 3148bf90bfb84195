#include "protocol/refresh.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::vector<Refresh::Item> two_items() { return {{&key, &id, "0sA"}, {&tagged_key, &other_id, "516000 -"}}; }

const auto is_refresh = ElementsAre("EVALSHA", scripts::refresh.sha1, "4", "stock", "redismutex:{stock}", "{stock}:2",
                                    "redismutex::{stock}:2", "2500", id.text(), "0sA", other_id.text(), "516000 -");

// All keys and lines come first, as a script's keys must; then the window, as in a waiter's own request; then whose places they are.
TEST(Refresh, IsOneScriptForAll) {
  Refresh machine{two_items(), 500ms};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_refresh);
  EXPECT_EQ(script(step), &scripts::refresh);
  EXPECT_FALSE(std::get<Request>(step).wants_wake_ups);
  EXPECT_FALSE(std::get<Request>(step).wants_invalidation);
}

// As many as are allowed fit.
TEST(Refresh, TakesTheMost) {
  const std::vector<Refresh::Item> items(Refresh::most_items, {&key, &id, "0sA"});
  Refresh machine{items, 500ms};
  const auto words = command(machine.start(at(0s)));
  ASSERT_EQ(words.size(), 4u + 4 * Refresh::most_items);
  EXPECT_EQ(words[2], "256");
  EXPECT_EQ(words[3 + 2 * Refresh::most_items], "2500");
  EXPECT_EQ(words.back(), "0sA");
}

// Each has its own answer; one that the script does not have is taken for no place, so that its waiter asks.
TEST(Refresh, TellsOfEachByItself) {
  const std::vector<Refresh::Item> items(5, {&key, &id, "0sA"});
  Refresh machine{items, 500ms};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(integers({2, 1, 0, 3, -1}))));
  ASSERT_TRUE(std::holds_alternative<std::vector<Refreshed>>(machine.outcome()));
  EXPECT_THAT(
      std::get<std::vector<Refreshed>>(machine.outcome()),
      ElementsAre(Refreshed::first, Refreshed::renewed, Refreshed::no_place, Refreshed::no_place, Refreshed::no_place));
}

// A lost answer is asked for again, with the same command: it does no harm to renew twice.
TEST(Refresh, ALostAnswerIsAskedForAgain) {
  Refresh machine{two_items(), 500ms};
  machine.start(at(0s));
  for (int i = 0; i < 3; ++i) {
    const Step step = machine.unanswered();
    EXPECT_THAT(command(step), is_refresh);
    EXPECT_EQ(script(step), &scripts::refresh);
  }
}

// An error, or a list of another length, says nothing of any.
TEST(Refresh, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("BUSY Redis is busy"), "BUSY"}, std::pair{integers({}), "UNEXPECTED"},
        std::pair{integers({1}), "UNEXPECTED"}, std::pair{integers({1, 1, 1}), "UNEXPECTED"},
        std::pair{integer(1), "UNEXPECTED"}, std::pair{nothing(), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
    Refresh machine{two_items(), 500ms};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

// Before any answer nothing is known to be renewed.
TEST(Refresh, RenewsNothingWithoutAnAnswer) {
  Refresh machine{two_items(), 500ms};
  machine.start(at(0s));
  machine.unanswered();
  const auto* places = std::get_if<std::vector<Refreshed>>(&machine.outcome());
  ASSERT_NE(places, nullptr);
  EXPECT_THAT(*places, ::testing::IsEmpty());
}

}  // namespace
}  // namespace redismutex::protocol
