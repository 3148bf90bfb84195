#include "protocol/release.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const Key key{"stock"};
const OwnerId id{{}};
constexpr Instant lease_end = at(1s);

const auto is_release = ElementsAre("EVALSHA", scripts::release.sha1, "2", "stock", "redismutex:{stock}", id.text());

bool is_released(const Release& machine) { return std::holds_alternative<Release::Released>(machine.outcome()); }
bool is_gone(const Release& machine) { return std::holds_alternative<Release::Gone>(machine.outcome()); }

// Giving back is one script that compares, and deletes or hands on, named by its digest and there to load.
TEST(Release, IsOneAtomicScript) {
  Release machine{key, id, lease_end};
  const Step step = machine.start(at(0s));
  EXPECT_THAT(command(step), is_release);
  EXPECT_EQ(script(step), &scripts::release);
}

// Where somebody is likely to wait, the server is to tell that one before it answers us; when asked again, too.
TEST(Release, WakesTheNextBeforeItAnswers) {
  const auto wakes_others = [](const Step& step) { return std::get<Request>(step).wakes_others; };
  Release quiet{key, id, lease_end};
  EXPECT_FALSE(wakes_others(quiet.start(at(0s))));
  Release contended{key, id, lease_end, Release::Waiters::likely};
  EXPECT_TRUE(wakes_others(contended.start(at(0s))));
  EXPECT_TRUE(wakes_others(contended.unanswered()));
}

// The script's 1 is a release, also of a lease that had ended by our clock: it was ours to the last.
TEST(Release, OneIsReleased) {
  for (const Instant start : {at(0s), lease_end, at(2s)}) {
    Release machine{key, id, lease_end};
    machine.start(start);
    EXPECT_TRUE(is_done(machine.answered(integer(1))));
    EXPECT_TRUE(is_released(machine));
  }
}

// The script's 0 as the first answer means that the lock was lost, within the lease too: somebody deleted it.
TEST(Release, ZeroIsGone) {
  for (const Instant start : {at(0s), lease_end, at(2s)}) {
    Release machine{key, id, lease_end};
    machine.start(start);
    EXPECT_TRUE(is_done(machine.answered(integer(0))));
    EXPECT_TRUE(is_gone(machine));
  }
}

// A lost answer is followed by the same command, as often as it takes.
TEST(Release, ALostAnswerIsAskedForAgain) {
  Release machine{key, id, lease_end};
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
    Release machine{key, id, lease_end};
    machine.start(start);
    machine.unanswered();
    EXPECT_TRUE(is_done(machine.answered(integer(0, {.sent_at = at(3s), .now = at(3s)}))));
    EXPECT_TRUE(is_released(machine));
  }
}

// 0 after a lost answer that was sent when the lease was over, by a nanosecond or more: the lock had been lost before.
TEST(Release, ZeroAfterALostAnswerOutsideTheLeaseIsGone) {
  for (const Instant start : {lease_end, lease_end + 1ns, at(2s)}) {
    Release machine{key, id, lease_end};
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
      Release machine{key, id, lease_end};
      machine.start(at(0s));
      if (answer_lost) machine.unanswered();
      EXPECT_TRUE(is_done(machine.answered(answer)));
      ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
      EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
    }
  }
}

// Before any answer, and when its driver gives up, a release has not succeeded.
TEST(Release, IsNotReleasedWithoutAnAnswer) {
  Release machine{key, id, lease_end};
  EXPECT_FALSE(is_released(machine));
  machine.start(at(0s));
  EXPECT_FALSE(machine.in_doubt());
  machine.unanswered();
  EXPECT_FALSE(is_released(machine));
  EXPECT_TRUE(machine.in_doubt());
}

}  // namespace
}  // namespace redismutex::protocol
