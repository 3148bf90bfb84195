#include "protocol/slot.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace redismutex::protocol {
namespace {

// Keys lie in the slots that servers put them in: the check value of the specification's CRC16, and what CLUSTER KEYSLOT says.
TEST(Slot, IsThatOfTheServers) {
  EXPECT_EQ(slot_of("123456789"), 0x31C3 % 16384);  // Source: Redis Cluster specification, "Appendix A"
  EXPECT_EQ(slot_of("123456789"), 12739);
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("bar"), 5061);
  EXPECT_EQ(slot_of("hello"), 866);
  EXPECT_EQ(slot_of("somekey"), 11058);
  EXPECT_EQ(slot_of(""), 0);
}

// Every byte counts, with all its bits: zeros, and those that are negative as a char.
TEST(Slot, CountsEveryByte) {
  using namespace std::string_view_literals;
  EXPECT_NE(slot_of("a\0"sv), slot_of("a"sv));
  EXPECT_EQ(slot_of("\x01"), 0x1021 % 16384);  // the polynomial itself
  EXPECT_EQ(slot_of("\xff"), 0x1EF0 % 16384);
}

// The part of a key that counts is what is between the first opening brace and the first closing one behind it, unless that is
// nothing. The cases are those of the Redis Cluster specification, "Hash tags", and some more.
TEST(Slot, IsDecidedByTheHashTag) {
  for (const auto& [key, part] : {
           std::pair{"{user1000}.following", "user1000"},
           std::pair{"{user1000}.followers", "user1000"},
           std::pair{"foo{}{bar}", "foo{}{bar}"},
           std::pair{"foo{{bar}}zap", "{bar"},
           std::pair{"foo{bar}{zap}", "bar"},
           std::pair{"stock", "stock"},
           std::pair{"", ""},
           std::pair{"{", "{"},
           std::pair{"}", "}"},
           std::pair{"{}", "{}"},
           std::pair{"}{", "}{"},
           std::pair{"a}b", "a}b"},
           std::pair{"a}{b}", "b"},
           std::pair{"{a", "{a"},
           std::pair{"{a}", "a"},
           std::pair{"a{b}c", "b"},
           std::pair{"{}}", "{}}"},
           std::pair{"{}{a}", "{}{a}"},
       }) {
    EXPECT_EQ(hashed_part(key), part) << key;
  }
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
}

// A slot has a word in it, of one to four letters or digits. (Every seventh is tried.)
TEST(Slot, HasAWord) {
  for (std::uint16_t slot = 0; slot < 16384; slot += 7) {
    const std::string word{word_of(slot)};
    ASSERT_EQ(slot_of(word), slot) << word;
    ASSERT_GE(word.size(), 1u);
    ASSERT_LE(word.size(), 4u);
    ASSERT_EQ(word.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz"), std::string::npos) << word;
  }
}

// The word is part of names that other processes and later versions have to find: it is the first one by length and then by
// alphabet, and stays so.
TEST(Slot, HasAlwaysTheSameWord) {
  for (const std::string word : {"0", "9", "a", "z"}) EXPECT_EQ(word_of(slot_of(word)), word);
  EXPECT_EQ(word_of(0), "1bz");
  EXPECT_EQ(word_of(1), "emj");
  EXPECT_EQ(word_of(12739), "za2");
  EXPECT_EQ(word_of(16383), "hia");
}

}  // namespace
}  // namespace redismutex::protocol
