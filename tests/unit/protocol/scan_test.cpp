#include "protocol/scan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <variant>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Scan, AsksForOneStep) {
  Scan strings{"0", "lock:*", 250, Scan::Types::strings};
  EXPECT_THAT(command(strings.start(at(0s))),
              ElementsAre("SCAN", "0", "MATCH", "lock:*", "COUNT", "250", "TYPE", "string"));
  EXPECT_THAT(command(strings.unanswered()),
              ElementsAre("SCAN", "0", "MATCH", "lock:*", "COUNT", "250", "TYPE", "string"));
  Scan all{"17", "*", 10, Scan::Types::all};
  EXPECT_THAT(command(all.start(at(0s))), ElementsAre("SCAN", "17", "MATCH", "*", "COUNT", "10"));
}

TEST(Scan, TellsTheKeysAndWhereToGoOn) {
  Scan machine{"0", "*", 10, Scan::Types::all};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(texts({"17", "a", "", "b"}))));
  auto& page = std::get<Scan::Page>(machine.outcome());
  EXPECT_EQ(page.cursor, "17");
  EXPECT_THAT(page.keys, ElementsAre("a", "", "b"));
  Scan last{"17", "*", 10, Scan::Types::all};
  last.start(at(0s));
  EXPECT_TRUE(is_done(last.answered(texts({"0"}))));
  EXPECT_EQ(std::get<Scan::Page>(last.outcome()).cursor, "0");
  EXPECT_THAT(std::get<Scan::Page>(last.outcome()).keys, IsEmpty());
}

TEST(Scan, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("NOPERM no"), "NOPERM"}, std::pair{texts({}), "UNEXPECTED"},
        std::pair{texts({std::nullopt}), "UNEXPECTED"}, std::pair{integer(1), "UNEXPECTED"}}) {
    Scan machine{"0", "*", 10, Scan::Types::all};
    machine.start(at(0s));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

TEST(CountKeys, IsNoneWhereTheServerDoesNotSayIt) {
  CountKeys machine;
  EXPECT_THAT(command(machine.start(at(0s))), ElementsAre("DBSIZE"));
  EXPECT_TRUE(is_done(machine.answered(integer(7))));
  EXPECT_EQ(machine.count(), 7u);
  CountKeys refused;
  refused.start(at(0s));
  EXPECT_TRUE(is_done(refused.answered(error("NOPERM no"))));
  EXPECT_FALSE(refused.count());
}

}  // namespace
}  // namespace redismutex::protocol
