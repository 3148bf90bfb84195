#include "net/sentinel_answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "net/resp.hpp"

namespace redismutex::net::sentinel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

/// What a server sends, read.
Reply reply(std::string_view bytes) {
  Resp resp;
  resp.feed(bytes);
  return Reply{resp.next().value()};
}

Answer read_all(std::string_view master, std::string_view address, std::string_view sentinels) {
  const std::array replies{reply(master), reply(address), reply(sentinels)};
  return read(std::array{*replies[0], *replies[1], *replies[2]});
}

TEST(SentinelAnswers, NameTheMasterAndTheOthers) {
  const Answer answer =
      read_all("%4\r\n+name\r\n+m\r\n+ip\r\n+10.0.0.1\r\n+port\r\n+6379\r\n+config-epoch\r\n+17\r\n",
               "*2\r\n+10.0.0.9\r\n+1\r\n",
               "*2\r\n%2\r\n+ip\r\n+10.0.0.2\r\n+port\r\n+26379\r\n%2\r\n+ip\r\n+::1\r\n+port\r\n+26380\r\n");
  EXPECT_THAT(answer.master, Optional(ServerAddress{"10.0.0.1", 6379}));
  EXPECT_EQ(answer.epoch, 17);
  EXPECT_THAT(answer.others, ElementsAre(ServerAddress{"10.0.0.2", 26379}, ServerAddress{"::1", 26380}));
}

// A user may have the right to the short question only.
TEST(SentinelAnswers, TheShortOneIsEnough) {
  const Answer answer = read_all("-NOPERM no\r\n", "*2\r\n$8\r\n10.0.0.9\r\n$1\r\n1\r\n", "-NOPERM no\r\n");
  EXPECT_THAT(answer.master, Optional(ServerAddress{"10.0.0.9", 1}));
  EXPECT_EQ(answer.epoch, -1);
  EXPECT_THAT(answer.others, IsEmpty());
}

TEST(SentinelAnswers, AnUnknownNameIsSaid) {
  const Answer answer = read_all("-ERR No such master with that name\r\n", "_\r\n", "-ERR No such master\r\n");
  EXPECT_FALSE(answer.master);
  EXPECT_TRUE(answer.knows_no_such_name);
}

TEST(SentinelAnswers, ARefusalIsNotAnUnknownName) {
  const Answer answer = read_all("-NOPERM a\r\n", "-NOPERM b\r\n", "-NOPERM c\r\n");
  EXPECT_FALSE(answer.master);
  EXPECT_FALSE(answer.knows_no_such_name);
  EXPECT_EQ(answer.refusal, "NOPERM b");
}

TEST(SentinelAnswers, RubbishNamesNobody) {
  for (const auto* address : {"*2\r\n+h\r\n+0\r\n", "*2\r\n+h\r\n+65536\r\n", "*2\r\n+\r\n+1\r\n", "*1\r\n+h\r\n",
                              "+h\r\n", "*2\r\n+h\r\n+1x\r\n", "*2\r\n+h\r\n*0\r\n", ":1\r\n"}) {
    EXPECT_FALSE(read_all("*1\r\n+ip\r\n", address, "*1\r\n*1\r\n+ip\r\n").master) << address;
  }
}

Answer named(const std::string& host, std::int64_t epoch) { return {.master = ServerAddress{host, 1}, .epoch = epoch}; }

std::optional<ServerAddress> chosen_of(const std::vector<Answer>& answers) {
  const Answer* const chosen = choose(answers);
  return chosen != nullptr ? chosen->master : std::nullopt;
}

TEST(SentinelAnswers, TheHighestEpochIsBelieved) {
  EXPECT_THAT(chosen_of({named("a", 3), named("b", 4), named("a", 3)}), Optional(ServerAddress{"b", 1}));
  EXPECT_THAT(chosen_of({named("a", 3), named("b", 3), named("b", 3)}), Optional(ServerAddress{"b", 1}));
  EXPECT_THAT(chosen_of({named("a", -1), Answer{}, named("b", 0)}), Optional(ServerAddress{"b", 1}));
  EXPECT_FALSE(chosen_of({Answer{}, Answer{}}));
  EXPECT_FALSE(chosen_of({}));
}

}  // namespace
}  // namespace redismutex::net::sentinel
