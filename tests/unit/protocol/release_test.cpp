#include "protocol/release.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr Instant lease_end = at(1s);

const auto is_release = ElementsAre("EVALSHA", scripts::release.sha1, "3", "stock", "redismutex:{stock}",
                                    "redismutex:floor:{stock}", id.text(), "", "");
const auto is_delifeq = ElementsAre("DELIFEQ", "stock", id.text());
const auto is_delex = ElementsAre("DELEX", "stock", "IFEQ", id.text());

constexpr Release::Terms plain{.valid_until = lease_end};
constexpr Release::Terms clearing{.valid_until = lease_end, .dead = Release::Dead::clear};
constexpr Release::Terms with_delifeq{.valid_until = lease_end, .deletion = Release::Deletion::by_delifeq};
constexpr Release::Terms with_delex{.valid_until = lease_end, .deletion = Release::Deletion::by_delex};

bool is_released(const Release& machine) { return std::holds_alternative<Release::Released>(machine.outcome()); }
bool is_gone(const Release& machine) { return std::holds_alternative<Release::Gone>(machine.outcome()); }

// Giving back is one script that compares, and deletes or hands on, named by its digest and there to load.
TEST(Release, IsOneAtomicScript) {
  Release machine{key, id, plain};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_release);
  EXPECT_EQ(script(step), &scripts::release);
  EXPECT_EQ(times_sent(step), 1);
}

// A waiter that gives up while its mailbox changes names both places that it may have.
TEST(Release, GivesUpTheFormerPlaceToo) {
  Release machine{key, id, {.valid_until = lease_end, .details = "0snew", .former_details = "0sold"}};
  EXPECT_THAT(command(machine.start(at(0s))),
              ElementsAre("EVALSHA", scripts::release.sha1, "3", "stock", "redismutex:{stock}",
                          "redismutex:floor:{stock}", id.text(), "", "0snew", "0sold"));
}

// A label goes with the lock, in the same step, which only the script can do.
TEST(Release, TakesTheLabelAlong) {
  for (const Release::Deletion deletion : {Release::Deletion::by_script, Release::Deletion::by_delifeq}) {
    Release machine{key, id, {.valid_until = lease_end, .deletion = deletion, .label = Release::Label::may_be_there}};
    const Step step = machine.start(at(0s));
    EXPECT_THAT(command(step), ElementsAre("EVALSHA", scripts::release.sha1, "4", "stock", "redismutex:{stock}",
                                           "redismutex:floor:{stock}", "redismutex:about:{stock}", id.text(), "", ""));
    EXPECT_EQ(command(machine.unanswered()), command(step));
  }
  Release machine{
      key,
      id,
      {.valid_until = lease_end, .details = "0snew", .former_details = "0sold", .label = Release::Label::may_be_there}};
  EXPECT_THAT(command(machine.start(at(0s))),
              ElementsAre("EVALSHA", scripts::release.sha1, "4", "stock", "redismutex:{stock}",
                          "redismutex:floor:{stock}", "redismutex:about:{stock}", id.text(), "", "0snew", "0sold"));
}

// What was asked for is passed on: the highest token, to be the floor; the details of a place in line, to be given up.
TEST(Release, PassesItsTermsOn) {
  const std::string details = "0sredismutex:wake:mine";
  Release machine{key, id, {.valid_until = lease_end, .token = 1'750'000'000'000'063, .details = details}};
  EXPECT_THAT(command(machine.start(at(0s))),
              ElementsAre("EVALSHA", scripts::release.sha1, "3", "stock", "redismutex:{stock}",
                          "redismutex:floor:{stock}", id.text(), "1750000000000063", details));
}

// Where somebody is likely to wait, the server is to tell that one before it answers us; when asked again, too.
TEST(Release, WakesTheNextBeforeItAnswers) {
  const auto wakes_others = [](const Step& step) { return std::get<Request>(step).wakes_others; };
  Release quiet{key, id, plain};
  EXPECT_FALSE(wakes_others(quiet.start(at(0s))));
  Release contended{key, id, {.valid_until = lease_end, .waiters = Release::Waiters::likely}};
  EXPECT_TRUE(wakes_others(contended.start(at(0s))));
  EXPECT_TRUE(wakes_others(contended.unanswered()));
}

// The script's 1 is a release, also of a lease that had ended by our clock: it was ours to the last.
TEST(Release, OneIsReleased) {
  for (const Instant start : {at(0s), lease_end, at(2s)}) {
    Release machine{key, id, plain};
    machine.start(start);
    EXPECT_TRUE(is_done(machine.answered(integer(1))));
    EXPECT_TRUE(is_released(machine));
  }
}

// The script's 0 as the first answer means that the lock was lost, within the lease too: somebody deleted it.
TEST(Release, ZeroIsGone) {
  for (const Instant start : {at(0s), lease_end, at(2s)}) {
    Release machine{key, id, plain};
    machine.start(start);
    EXPECT_TRUE(is_done(machine.answered(integer(0))));
    EXPECT_TRUE(is_gone(machine));
  }
}

// A lost answer is followed by the same command, as often as it takes.
TEST(Release, ALostAnswerIsAskedForAgain) {
  Release machine{key, id, plain};
  machine.start(at(0s));
  for (int i = 0; i < 3; ++i) {
    const Step step = machine.unanswered();
    EXPECT_THAT(command(step), is_release);
    EXPECT_EQ(script(step), &scripts::release);
  }
  EXPECT_TRUE(is_done(machine.answered(integer(1))));
  EXPECT_TRUE(is_released(machine));
}

// 0 after a lost answer: the attempt within the lease can only have been carried out, however late the second answer.
TEST(Release, ZeroAfterALostAnswerWithinTheLeaseIsReleased) {
  for (const Instant start : {at(0s), lease_end - 1ns}) {
    Release machine{key, id, plain};
    machine.start(start);
    machine.unanswered();
    EXPECT_TRUE(is_done(machine.answered(integer(0, {.sent_at = at(3s), .now = at(3s)}))));
    EXPECT_TRUE(is_released(machine));
  }
}

// 0 after a lost answer that was sent when the lease was over, by a nanosecond or more: the lock had been lost before.
TEST(Release, ZeroAfterALostAnswerOutsideTheLeaseIsGone) {
  for (const Instant start : {lease_end, lease_end + 1ns, at(2s)}) {
    Release machine{key, id, plain};
    machine.start(start);
    machine.unanswered();
    EXPECT_TRUE(is_done(machine.answered(integer(0))));
    EXPECT_TRUE(is_gone(machine));
  }
}

// An error, and any answer that the script never has, is reported, after a lost answer too.
TEST(Release, AnyOtherAnswerIsARefusal) {
  for (const bool answer_lost : {false, true}) {
    for (const auto& [answer, code] :
         {std::pair{error("WRONGTYPE Operation against a key"), "WRONGTYPE"}, std::pair{nothing(), "UNEXPECTED"},
          std::pair{text("OK"), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
      Release machine{key, id, plain};
      machine.start(at(0s));
      if (answer_lost) machine.unanswered();
      EXPECT_TRUE(is_done(machine.answered(answer)));
      ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
      EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
    }
  }
}

// ---- dead waiters ----

// The script's 2 means that dead waiters are left in line: the lock is given up, and somebody has to go on.
TEST(Release, MayLeaveTheDeadToOthers) {
  Release machine{key, id, plain};
  machine.start(at(0s));
  EXPECT_FALSE(machine.more());
  EXPECT_TRUE(is_done(machine.answered(integer(2))));
  EXPECT_TRUE(machine.more());
  EXPECT_TRUE(is_released(machine));
}

// Or it goes on itself, many runs in one write, until another answer comes. Also 0 means then that the lock
// was given back.
TEST(Release, MayClearTheDeadItself) {
  for (const std::int64_t last : {0, 1}) {
    Release machine{key, id, clearing};
    EXPECT_EQ(times_sent(machine.start(at(0s))), 1);
    for (int i = 0; i < 3; ++i) {
      const Step step = machine.answered(integer(2));
      EXPECT_THAT(command(step), is_release);
      EXPECT_EQ(script(step), &scripts::release);
      EXPECT_EQ(times_sent(step), 16);
      EXPECT_TRUE(machine.more());
    }
    EXPECT_TRUE(is_done(machine.answered(integer(last))));
    EXPECT_FALSE(machine.more());
    EXPECT_TRUE(is_released(machine));
  }
}

// It goes on after a lost answer too, as it was; also where the lease is over: 2 said that the lock was its own.
TEST(Release, ClearsTheDeadAfterALostAnswer) {
  for (const Instant start : {at(0s), at(2s)}) {
    Release machine{key, id, clearing};
    machine.start(start);
    machine.answered(integer(2));
    const Step step = machine.unanswered();
    EXPECT_THAT(command(step), is_release);
    EXPECT_EQ(times_sent(step), 16);
    EXPECT_TRUE(is_done(machine.answered(integer(0))));
    EXPECT_TRUE(is_released(machine));
  }
}

// A refusal in the middle is reported, and there still is more to do.
TEST(Release, ARefusalLeavesTheRestOfTheDead) {
  Release machine{key, id, clearing};
  machine.start(at(0s));
  machine.answered(integer(2));
  EXPECT_TRUE(is_done(machine.answered(error("READONLY You can't write"))));
  EXPECT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
  EXPECT_TRUE(machine.more());
}

// ---- the server's own command ----

// Where the server has a command of its own for this, that is sent, without a script.
TEST(Release, MayBeTheServersOwnCommand) {
  Release delifeq{key, id, with_delifeq};
  const Step step = delifeq.start(at(0s));
  EXPECT_THAT(command(step), is_delifeq);
  EXPECT_EQ(script(step), nullptr);
  EXPECT_EQ(times_sent(step), 1);

  Release delex{key, id, with_delex};
  EXPECT_THAT(command(delex.start(at(0s))), is_delex);
}

// That command knows no line: whether there is one is asked right behind it. If so, the script gives the free lock to the first
// in it; the release is done already, whatever comes of that.
TEST(Release, TheServersOwnCommandIsFollowedByALookForTheLine) {
  for (const auto& terms : {with_delifeq, with_delex}) {
    for (const Answer& answer : {integer(0), integer(1), error("OOM command not allowed"), nothing()}) {
      Release machine{key, id, terms};
      const Step first = machine.start(at(0s));
      EXPECT_THAT(std::get<Request>(first).next, ElementsAre("EXISTS", "redismutex:{stock}"));
      Answer deleted = integer(1);
      deleted.next = 1;
      const Step second = machine.answered(deleted);
      EXPECT_THAT(command(second), is_release);
      EXPECT_TRUE(std::get<Request>(second).next.empty());
      EXPECT_TRUE(is_released(machine));
      EXPECT_TRUE(is_done(machine.answered(answer)));
      EXPECT_TRUE(is_released(machine));
      EXPECT_FALSE(machine.more());
    }
  }
}

// Its answers mean what the script's mean.
TEST(Release, TheServersOwnCommandHasTheSameAnswers) {
  for (const auto& terms : {with_delifeq, with_delex}) {
    Release one{key, id, terms};
    one.start(at(0s));
    EXPECT_TRUE(is_done(one.answered(integer(1))));
    EXPECT_TRUE(is_released(one));
    EXPECT_FALSE(one.deletion_refused());

    Release zero{key, id, terms};
    zero.start(at(0s));
    EXPECT_TRUE(is_done(zero.answered(integer(0))));
    EXPECT_TRUE(is_gone(zero));
    EXPECT_FALSE(zero.deletion_refused());
  }
}

// An error, whichever, makes it fall back to the script, whose answer decides. That the server has no such command, or does not
// let us, is remembered.
TEST(Release, ARefusedCommandIsFollowedByTheScript) {
  for (const auto& terms : {with_delifeq, with_delex}) {
    for (const auto& [said, for_good] :
         {std::pair{"ERR unknown command 'DELIFEQ'", true}, std::pair{"NOPERM User u has no permissions", true},
          std::pair{"WRONGTYPE Operation against a key", false}, std::pair{"BUSY Redis is busy", false}}) {
      for (const std::int64_t last : {0, 1}) {
        Release machine{key, id, terms};
        machine.start(at(0s));
        const Step step = machine.answered(error(said));
        EXPECT_THAT(command(step), is_release);
        EXPECT_EQ(script(step), &scripts::release);
        EXPECT_EQ(machine.deletion_refused(), for_good) << said;
        EXPECT_FALSE(machine.in_doubt());
        EXPECT_TRUE(is_done(machine.answered(integer(last))));
        EXPECT_EQ(is_released(machine), last == 1);
        EXPECT_EQ(machine.deletion_refused(), for_good) << said;
      }
    }
  }
}

// The script's error is the one that is reported.
TEST(Release, ARefusedScriptAfterARefusedCommandIsARefusal) {
  Release machine{key, id, with_delifeq};
  machine.start(at(0s));
  machine.answered(error("ERR unknown command"));
  EXPECT_TRUE(is_done(machine.answered(error("WRONGTYPE Operation against a key"))));
  ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
  EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, "WRONGTYPE");
}

// A lost answer is followed by the script: the next server may not have the command. That says nothing about this one.
TEST(Release, ALostCommandIsFollowedByTheScript) {
  for (const auto& terms : {with_delifeq, with_delex}) {
    Release within{key, id, terms};
    within.start(at(0s));
    EXPECT_THAT(command(within.unanswered()), is_release);
    EXPECT_FALSE(within.deletion_refused());
    EXPECT_TRUE(within.in_doubt());
    EXPECT_TRUE(is_done(within.answered(integer(0))));
    EXPECT_TRUE(is_released(within));

    Release outside{key, id, terms};
    outside.start(lease_end);
    EXPECT_THAT(command(outside.unanswered()), is_release);
    EXPECT_TRUE(is_done(outside.answered(integer(0))));
    EXPECT_TRUE(is_gone(outside));
  }
}

// ---- no answer ----

// Before any answer, and when its driver gives up, a release has not succeeded.
TEST(Release, IsNotReleasedWithoutAnAnswer) {
  Release machine{key, id, plain};
  EXPECT_FALSE(is_released(machine));
  machine.start(at(0s));
  EXPECT_FALSE(machine.in_doubt());
  machine.unanswered();
  EXPECT_FALSE(is_released(machine));
  EXPECT_TRUE(machine.in_doubt());
}

}  // namespace
}  // namespace redismutex::protocol
