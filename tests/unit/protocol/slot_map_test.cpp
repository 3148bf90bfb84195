// What servers of a cluster say of where slots are.

#include "protocol/slot_map.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

const ServerAddress asked{"10.0.0.1", 7000};

Value list(std::int64_t size) { return {.type = Value::Type::list, .integer = size}; }
Value number(std::int64_t value) { return {.type = Value::Type::integer, .integer = value}; }
Value word(std::string_view text) { return {.type = Value::Type::text, .text = text}; }

std::string endpoint(std::string_view error) {
  const auto read = read_redirection(error, asked);
  return read ? std::to_string(read->slot) + " " + read->to.host + " " + std::to_string(read->to.port) : "none";
}

TEST(Redirection, Forms) {
  EXPECT_EQ(endpoint("MOVED 3999 127.0.0.1:6381"), "3999 127.0.0.1 6381");
  EXPECT_EQ(endpoint("ASK 0 cache-2.example.org:6379"), "0 cache-2.example.org 6379");
  EXPECT_EQ(endpoint("MOVED 16383 2001:db8::1:6379"), "16383 2001:db8::1 6379");
  EXPECT_EQ(endpoint("MOVED 5 :6381"), "5 10.0.0.1 6381");
  EXPECT_EQ(endpoint("MOVED 5 ?:6381"), "5 10.0.0.1 6381");
}

TEST(Redirection, ThatCanNotBeRead) {
  for (const char* text : {"MOVED", "MOVED 5", "MOVED x 127.0.0.1:1", "MOVED 16384 127.0.0.1:1", "MOVED 5 127.0.0.1",
                           "MOVED 5 127.0.0.1:", "MOVED 5 127.0.0.1:0", "MOVED 5 127.0.0.1:65536", "MOVED -1 a:1"}) {
    EXPECT_EQ(endpoint(text), "none") << text;
  }
}

// As Redis 7.0 and Valkey answer: hosts may be missing, and there may be more behind each server.
TEST(SlotMap, IsRead) {
  const std::vector<Value> values{
      list(4),      number(0),    number(5460),     list(4),      word("10.0.0.2"), number(7001),
      word("id"),   list(2),      word("hostname"), word("x"),    list(3),          word("10.0.0.5"),
      number(7004), word("id"),   list(3),          number(5461), number(16383),    list(3),
      {},           number(7002), word("id")};
  const auto map = read_slots(values, asked);
  ASSERT_TRUE(map);
  const std::vector<SlotRange>& ranges = map->ranges;
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges.at(0).first, 0);
  EXPECT_EQ(ranges.at(0).last, 5460);
  EXPECT_EQ(ranges.at(0).master.host, "10.0.0.2");
  EXPECT_EQ(ranges.at(0).master.port, 7001);
  EXPECT_EQ(ranges.at(1).first, 5461);
  EXPECT_EQ(ranges.at(1).master.host, "10.0.0.1") << "that of the server which was asked";
  EXPECT_EQ(ranges.at(1).master.port, 7002);
  EXPECT_EQ(map->replicas, (std::vector<ServerAddress>{{"10.0.0.5", 7004}}));
}

// A replica has many ranges, and one whose address is not what it should be is no reason to refuse the map.
TEST(SlotMap, NamesEachReplicaOnce) {
  std::vector<Value> values;
  for (const std::int64_t slot : {0, 1, 2}) {
    for (const Value& value : {list(6), number(slot), number(slot), list(2), word("m"), number(1)})
      values.push_back(value);
    for (const Value& value : {list(3), word("s"), number(2), list(0)}) values.push_back(value);
    for (const Value& value : {list(2), word("r"), number(70000), list(2), word("r"), number(1)})
      values.push_back(value);
  }
  const auto map = read_slots(values, asked);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->ranges.size(), 3U);
  EXPECT_EQ(map->replicas, (std::vector<ServerAddress>{{"r", 1}, {"s", 2}}));
}

TEST(SlotMap, ThatIsSomethingElse) {
  EXPECT_FALSE(read_slots(std::vector<Value>{number(1)}, asked));
  EXPECT_FALSE(read_slots(std::vector<Value>{list(3), number(1), number(0), list(2), word("h"), number(1)}, asked));
  EXPECT_FALSE(read_slots(std::vector<Value>{list(3), number(0), number(16384), list(2), word("h"), number(1)}, asked));
  EXPECT_FALSE(read_slots(std::vector<Value>{list(3), number(0), number(1), list(2), word("h"), number(0)}, asked));
  EXPECT_FALSE(read_slots(std::vector<Value>{list(3), number(0), number(1), list(2), word("h")}, asked));
  EXPECT_FALSE(read_slots(std::vector<Value>{list(2), number(0), number(1)}, asked));
}

TEST(SlotMap, ARefusalIsTold) {
  AskSlots machine{asked};
  machine.start(at({}));
  machine.answered(error("ERR This instance has cluster support disabled"));
  EXPECT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
}

}  // namespace
}  // namespace redismutex::protocol
