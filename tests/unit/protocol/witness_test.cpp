#include "protocol/witness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/lease.hpp"
#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::vector<Witness::Item> two_questions() { return {{&key, &id}, {&tagged_key, &other_id}}; }
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

using Sight = Witness::Sight;
const Witness::Seen& seen(const Witness& machine) { return std::get<Witness::Seen>(machine.outcome()); }
std::vector<Sight> sights(const Witness& machine) {
  std::vector<Sight> sights;
  for (const Witness::Lock& lock : seen(machine).locks) sights.push_back(lock.sight);
  return sights;
}

const auto is_question = ElementsAre("EVALSHA", scripts::witness.sha1, "3", "stock", "{stock}:2", "redismutex:witness",
                                     id.text(), other_id.text());

// A WAIT stands right behind a write of the same connection, else it says nothing.
TEST(Witness, WritesAndThenWaits) {
  Witness machine{two_questions(), terms};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_question);
  EXPECT_EQ(script(step), &scripts::witness);
  EXPECT_FALSE(std::get<Request>(step).wants_invalidation);
  EXPECT_THAT(behind(step), ElementsAre("WAIT", "2", "250"));
  EXPECT_EQ(machine.key(), &key);
}

TEST(Witness, TellsOfEachByItself) {
  Witness machine{two_questions(), terms};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(answer({1, 0}, 3))));
  EXPECT_THAT(sights(machine), ElementsAre(Sight::there, Sight::not_there));
  EXPECT_EQ(seen(machine).replicas, 3);
}

// A server that lacks what was written last has the lock for less time. When it counted is known only as far as the answer tells: then the lease
// lasts as long as it does if that was when the question left.
TEST(Witness, TellsOfEachHowLongItLastsForSure) {
  constexpr auto most = 10s;
  const Instant whole = at(0s) + most - drift(most);
  constexpr auto years = std::chrono::hours{24 * 365 * 100};
  const std::vector<std::pair<std::chrono::milliseconds, Witness::Lock>> cases{
      {10s, {Sight::there, whole}},
      {9960ms, {Sight::there, whole}},
      {9900ms, {Sight::there, valid_until(at(0s), 9900ms)}},
      {9700ms, {Sight::there, valid_until(at(0s), 9700ms)}},
      {9597ms, {Sight::not_there}},
      {1ms, {Sight::not_there}},
      {0ms, {Sight::not_there}},
      {-1ms, {Sight::there, whole}},
      {years, {Sight::there, whole}}};
  for (const auto& [left, expected] : cases) {
    Witness machine{{{&key, &id, whole}}, terms};
    machine.start(at(0s));
    Answer said = integers({left.count()}, {.sent_at = at(0s), .now = at(300ms)});
    EXPECT_TRUE(is_done(machine.answered(said)));
    const Witness::Lock& lock = seen(machine).locks.front();
    EXPECT_EQ(lock.sight, expected.sight) << left.count();
    EXPECT_EQ(lock.until, expected.until) << left.count();
  }
}

// What is written must be in the slot of the locks.
TEST(Witness, WritesInTheSlotOfACluster) {
  const std::uint16_t slot = slot_of(key.text());
  Witness machine{{{.key = &key, .id = &id, .slot = slot}}, {.wanted = 1, .within = 1ms}};
  const auto words = command(machine.start(at(0s)));
  ASSERT_EQ(words.size(), 6U);
  EXPECT_EQ(words[4], "redismutex:{" + std::string{word_of(slot)} + "}:witness");
  EXPECT_EQ(slot_of(words[4]), slot);
}

TEST(Witness, ALostAnswerIsAskedForAgain) {
  Witness machine{two_questions(), terms};
  machine.start(at(0s));
  const Step step = machine.unanswered();
  EXPECT_THAT(command(step), is_question);
  EXPECT_THAT(behind(step), ElementsAre("WAIT", "2", "250"));
}

// While their slot moves there may be no request that names two keys. Enough have all of them if enough have each.
TEST(Witness, AsksForOneAfterTheOther) {
  Witness machine{two_questions(), terms};
  machine.start(at(0s));
  const auto first = machine.split(at(0s));
  ASSERT_TRUE(first);
  EXPECT_THAT(command(*first), ElementsAre("EVALSHA", scripts::witness.sha1, "1", "stock", id.text()));
  EXPECT_THAT(behind(*first), ElementsAre("WAIT", "2", "250"));
  const Step second = machine.answered(answer({1}, 1));
  EXPECT_THAT(command(second), ElementsAre("EVALSHA", scripts::witness.sha1, "1", "{stock}:2", other_id.text()));
  EXPECT_FALSE(machine.split(at(0s)));
  EXPECT_TRUE(is_done(machine.answered(answer({1}, 2))));
  EXPECT_THAT(sights(machine), ElementsAre(Sight::there, Sight::there));
  EXPECT_EQ(seen(machine).replicas, 1);
}

// ---- of a cluster: several slots ------------------------------------------------------------------------------------

const Key far_key{"elsewhere"};

std::vector<Witness::Item> of_two_slots() {
  return {{.key = &key, .id = &id, .slot = slot_of(key.text())},
          {.key = &far_key, .id = &id, .slot = slot_of(far_key.text())},
          {.key = &tagged_key, .id = &other_id, .slot = slot_of(tagged_key.text())}};
}

// Each slot has a script, and all of them one WAIT, in one write.
TEST(Witness, OneWaitIsForAllSlots) {
  Witness machine{of_two_slots(), terms};
  const Step step = machine.start(at(0s));
  const std::string own = "redismutex:{" + std::string{word_of(slot_of(key.text()))} + "}:witness";
  const std::string far_own = "redismutex:{" + std::string{word_of(slot_of(far_key.text()))} + "}:witness";
  EXPECT_THAT(command(step), ElementsAre("EVALSHA", scripts::witness.sha1, "3", "stock", "{stock}:2", own, id.text(),
                                         other_id.text()));
  const auto& request = std::get<Request>(step);
  ASSERT_EQ(request.more.size(), 1U);
  EXPECT_THAT(request.more.front(),
              ElementsAre("EVALSHA", scripts::witness.sha1, "2", "elsewhere", far_own, id.text()));
  EXPECT_THAT(behind(step), ElementsAre("WAIT", "2", "250"));

  const std::vector<Answer> more{integers({0})};
  Answer first = answer({1, 0}, 2);
  first.more = more;
  EXPECT_TRUE(is_done(machine.answered(first)));
  EXPECT_THAT(sights(machine), ElementsAre(Sight::there, Sight::not_there, Sight::not_there));
  EXPECT_EQ(seen(machine).replicas, 2);
}

// Of a slot that is on the way nothing is said, and of the others all.
TEST(Witness, ASlotThatMovesHoldsUpNoOther) {
  for (const char* const refusal : {"MOVED 1 127.0.0.1:1", "ASK 1 127.0.0.1:1", "TRYAGAIN Multiple keys"}) {
    Witness first_moves{of_two_slots(), terms}, second_moves{of_two_slots(), terms};
    first_moves.start(at(0s));
    second_moves.start(at(0s));
    EXPECT_FALSE(first_moves.split(at(0s))) << "that is for one slot";
    const std::vector<Answer> is_there{integers({1})}, is_refused{error(refusal)};
    Answer refused = error(refusal);
    refused.next = 2;
    refused.more = is_there;
    EXPECT_TRUE(is_done(first_moves.answered(refused)));
    EXPECT_THAT(sights(first_moves), ElementsAre(Sight::not_said, Sight::there, Sight::not_said));
    EXPECT_EQ(seen(first_moves).replicas, 2);
    Answer granted = answer({1, 1}, 2);
    granted.more = is_refused;
    EXPECT_TRUE(is_done(second_moves.answered(granted)));
    EXPECT_THAT(sights(second_moves), ElementsAre(Sight::there, Sight::not_said, Sight::there));
  }
}

TEST(Witness, ARefusalOfTheWaitIsOneOfAll) {
  Witness machine{of_two_slots(), terms};
  machine.start(at(0s));
  const std::vector<Answer> more{integers({1})};
  Answer refused = error("NOPERM no right to run the 'wait' command");
  refused.more = more;
  EXPECT_TRUE(is_done(machine.answered(refused)));
  EXPECT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
}

TEST(Witness, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] : {std::pair{error("NOPERM no right to run the 'wait' command"), "NOPERM"},
                                     std::pair{integers({1}), "UNEXPECTED"}, std::pair{integer(1), "UNEXPECTED"}}) {
    Witness machine{two_questions(), terms};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
