#include "memory/protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "net/command.hpp"
#include "net/resp.hpp"

// The server's side of the protocol, with the client's own code as the other.
namespace redismutex::memory {
namespace {

using ::testing::ElementsAre;

std::string command(const std::vector<std::string_view>& arguments) {
  std::string bytes;
  net::append_command(bytes, arguments);
  return bytes;
}

// However it comes: nothing is taken before all of it is there, and what follows stays.
TEST(CommandsOfClients, AreTakenWhenTheyAreWhole) {
  const std::string whole = command({"SET", "key", std::string_view{"a\r\n\0b", 5}, ""});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string part = whole.substr(0, i);
    EXPECT_FALSE(take_command(part));
    EXPECT_EQ(part, whole.substr(0, i));
  }
  std::string two = whole + command({"PING"}) + "*1";
  EXPECT_THAT(*take_command(two), ElementsAre("SET", "key", std::string("a\r\n\0b", 5), ""));
  EXPECT_THAT(*take_command(two), ElementsAre("PING"));
  EXPECT_FALSE(take_command(two));
  EXPECT_EQ(two, "*1");
}

TEST(CommandsOfClients, MayBeNone) {
  for (const std::string_view rubbish : {"PING\r\n", "*x\r\n", "*-1\r\n", "*1\r\n+PING\r\n", "*1\r\n$-1\r\n",
                                         "*1\r\n$\r\n", "*99999999999\r\n", "*1\r\n$99999999999\r\n", "\r\n"}) {
    std::string bytes{rubbish};
    EXPECT_THROW(take_command(bytes), std::invalid_argument) << rubbish;
  }
}

TEST(AnswersToClients, AreReadByThem) {
  std::string bytes;
  append(bytes, Value::array({Value::nil(), Value::number(-7), Value::real("2.5"), Value::bulk("a\r\nb"),
                              Value::status("OK"), Value::error("ERR no"), Value::array({})}));
  append(bytes, Value::map({Value::bulk("field"), Value::number(3)}));
  append(bytes, Value::push({Value::bulk("message")}));
  net::Resp resp;
  resp.feed(bytes);
  const auto list = resp.next();
  ASSERT_TRUE(list) << resp.problem();
  ASSERT_EQ(list->size(), 7u);
  using net::ReplyType;
  const std::array types{ReplyType::null,          ReplyType::integer, ReplyType::real, ReplyType::bulk_string,
                         ReplyType::simple_string, ReplyType::error,   ReplyType::array};
  std::size_t i = 0;
  for (const net::ReplyView element : *list) EXPECT_EQ(element.type(), types.at(i++));
  const auto map = resp.next();
  ASSERT_TRUE(map) << resp.problem();
  EXPECT_EQ(map->type(), ReplyType::map);
  const auto push = resp.next();
  ASSERT_TRUE(push) << resp.problem();
  EXPECT_EQ(push->type(), ReplyType::push);
  EXPECT_FALSE(resp.next());
}

}  // namespace
}  // namespace redismutex::memory
