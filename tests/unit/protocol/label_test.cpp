#include "protocol/label.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>

#include "protocol/inspect.hpp"
#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr WriteLabel::Terms label_terms{
    .since = 1'756'800'000'123ms, .expiry = 7s, .token = 42, .text = "the night's import", .lasts = 14s};

const std::string value = "1 " + std::string{other_id.text()} + " 1756800000123 7000 42 the night's import";

// One command, with a TTL.
TEST(WriteLabel, IsOneCommand) {
  WriteLabel machine{key, other_id, label_terms};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), ElementsAre("SET", "redismutex:about:{stock}", value, "PX", "14000"));
  EXPECT_EQ(script(step), nullptr);
  EXPECT_TRUE(is_done(machine.answered(text("OK"))));
  EXPECT_TRUE(std::holds_alternative<WriteLabel::Written>(machine.outcome()));
}

// What is written can be read, also the longest text, and one with blanks at its ends; what is too long is cut.
TEST(WriteLabel, CanBeRead) {
  for (const std::string& words : {std::string{}, std::string{" in blanks "}, std::string(longest_label_text, 'x')}) {
    WriteLabel::Terms other = label_terms;
    other.text = words;
    other.token = 0;
    WriteLabel machine{key, other_id, other};
    const auto read = read_label(command(machine.start(at(0s))).at(2), other_id.text());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->text, words);
    EXPECT_EQ(read->since.time_since_epoch(), 1'756'800'000'123ms);
    EXPECT_EQ(read->expiry, 7s);
    EXPECT_FALSE(read->token);
    EXPECT_FALSE(read->left);
  }
  WriteLabel::Terms of_left = label_terms;
  of_left.left = true;
  WriteLabel leaving{key, other_id, of_left};
  const auto read_left = read_label(command(leaving.start(at(0s))).at(2), other_id.text());
  ASSERT_TRUE(read_left);
  EXPECT_TRUE(read_left->left);
  EXPECT_EQ(read_left->expiry, 7s);

  const std::string too_long(longest_label_text + 1, 'x');
  WriteLabel::Terms other = label_terms;
  other.text = too_long;
  WriteLabel machine{key, other_id, other};
  EXPECT_TRUE(command(machine.start(at(0s))).at(2).ends_with(" " + std::string(longest_label_text, 'x')));
}

// It does no harm to write it twice.
TEST(WriteLabel, ALostAnswerIsAskedForAgain) {
  WriteLabel machine{key, other_id, label_terms};
  const Step first = machine.start(at(0s));
  EXPECT_EQ(command(machine.unanswered()), command(first));
  EXPECT_EQ(command(machine.unanswered()), command(first));
}

TEST(WriteLabel, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("NOPERM no permissions"), "NOPERM"}, std::pair{nothing(), "UNEXPECTED"},
        std::pair{integer(1), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
    WriteLabel machine{key, other_id, label_terms};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
