#include "protocol/ping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using ::testing::ElementsAre;

// Any text is a sign of life: +PONG, or what a server with a proxy before it makes of it.
TEST(Ping, AnyTextIsASignOfLife) {
  for (const std::string_view words : {"PONG", ""}) {
    Ping machine;
    EXPECT_THAT(command(machine.start(at({}))), ElementsAre("PING"));
    EXPECT_TRUE(is_done(machine.answered(text(words))));
    EXPECT_TRUE(std::holds_alternative<Ping::Alive>(machine.outcome()));
  }
}

// A lost answer says nothing about the server: it is asked again.
TEST(Ping, ALostAnswerIsAskedForAgain) {
  Ping machine;
  machine.start(at({}));
  EXPECT_THAT(command(machine.unanswered()), ElementsAre("PING"));
  EXPECT_THAT(command(machine.unanswered()), ElementsAre("PING"));
  EXPECT_TRUE(is_done(machine.answered(text("PONG"))));
  EXPECT_TRUE(std::holds_alternative<Ping::Alive>(machine.outcome()));
}

// An error, and any answer that PING never has, is a refusal.
TEST(Ping, AnyOtherAnswerIsARefusal) {
  for (const auto& [answer, code] :
       {std::pair{error("LOADING Redis is loading the dataset"), "LOADING"}, std::pair{nothing(), "UNEXPECTED"},
        std::pair{integer(1), "UNEXPECTED"}, std::pair{other(), "UNEXPECTED"}}) {
    Ping machine;
    machine.start(at({}));
    EXPECT_TRUE(is_done(machine.answered(answer)));
    ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
    EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, code);
  }
}

}  // namespace
}  // namespace redismutex::protocol
