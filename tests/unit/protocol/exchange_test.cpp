#include "protocol/exchange.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

// The code of a refusal is the first word of the server's error, the text all of it: for every error that a server has.
TEST(Refusal, OfAnErrorHasItsFirstWordForCode) {
  for (const auto& [line, code] : {
           std::pair{"OOM command not allowed when used memory > 'maxmemory'.", "OOM"},
           std::pair{"WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"},
           std::pair{"NOPERM User u has no permissions to run the 'set' command", "NOPERM"},
           std::pair{"ERR syntax error", "ERR"},
           std::pair{"LOADING", "LOADING"},
           std::pair{"", ""},
           std::pair{" blank first", ""},
       }) {
    const Refusal refused = refusal(error(line), "SET");
    EXPECT_EQ(refused.code, code);
    EXPECT_EQ(refused.text, line);
  }
}

// An answer of a type that the command never has is a refusal that names the command: none is taken for success.
TEST(Refusal, OfAnyOtherAnswerNamesTheCommand) {
  for (const Answer& answer : {nothing(), text("OK"), integer(1), integers({1}), texts({"OK"}), other()}) {
    const Refusal refused = refusal(answer, "release");
    EXPECT_EQ(refused.code, "UNEXPECTED");
    EXPECT_THAT(refused.text, ::testing::HasSubstr("release"));
  }
}

}  // namespace
}  // namespace redismutex::protocol
