#include "protocol/extend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/lease.hpp"
#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const Key key{"stock"};
const OwnerId id{{}};

const auto is_extend = ElementsAre("EVALSHA", scripts::extend.sha1, "1", "stock", id.text(), "2500");

std::optional<Instant> extended_until(const Extend& machine) {
  const auto* extended = std::get_if<Extend::Extended>(&machine.outcome());
  return extended == nullptr ? std::nullopt : std::optional{extended->valid_until};
}

bool is_gone(const Extend& machine) { return std::holds_alternative<Extend::Gone>(machine.outcome()); }

// Extending is one script that compares and sets the expiry.
TEST(Extend, IsOneAtomicScript) {
  Extend machine{key, id, 2500ms};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_extend);
  EXPECT_EQ(script(step), &scripts::extend);
}

// The script's 1 is a lease that counts from when this request was sent.
TEST(Extend, OneIsALeaseFromTheTimeOfSending) {
  Extend machine{key, id, 2500ms};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(integer(1, {.sent_at = at(100ms), .now = at(900ms)}))));
  EXPECT_EQ(extended_until(machine), valid_until(at(100ms), 2500ms));
}

// The script's 0 means lost, and there is no next command, not after lost answers either: nothing takes the lock anew.
TEST(Extend, NeverRevivesALostLock) {
  for (const int lost_answers : {0, 1, 2}) {
    Extend machine{key, id, 2500ms};
    machine.start(at(0s));
    for (int i = 0; i < lost_answers; ++i) EXPECT_THAT(command(machine.unanswered()), is_extend);
    EXPECT_TRUE(is_done(machine.answered(integer(0))));
    EXPECT_TRUE(is_gone(machine));
    EXPECT_FALSE(extended_until(machine));
  }
}

// A repeat after a lost answer counts from its own sending, not from the first.
TEST(Extend, ARepeatCountsFromItsOwnSending) {
  Extend machine{key, id, 2500ms};
  machine.start(at(0s));
  machine.unanswered();
  EXPECT_TRUE(is_done(machine.answered(integer(1, {.sent_at = at(2s), .now = at(2s)}))));
  EXPECT_EQ(extended_until(machine), valid_until(at(2s), 2500ms));
}

// An error, and any answer that the script never has, is reported and extends nothing.
TEST(Extend, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("READONLY You can't write"), "READONLY"}, std::pair{nothing(), "UNEXPECTED"},
        std::pair{text("OK"), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
    Extend machine{key, id, 2500ms};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

// Before any answer nothing is extended.
TEST(Extend, IsNotExtendedWithoutAnAnswer) {
  Extend machine{key, id, 2500ms};
  machine.start(at(0s));
  machine.unanswered();
  EXPECT_FALSE(extended_until(machine));
}

}  // namespace
}  // namespace redismutex::protocol
