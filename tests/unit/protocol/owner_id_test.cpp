#include "protocol/owner_id.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using Parts = OwnerId::Parts;

constexpr std::uint64_t ones(int count) { return (std::uint64_t{1} << count) - 1; }
constexpr std::uint64_t all = ~std::uint64_t{0};

std::chrono::milliseconds ms(std::uint64_t bits) { return std::chrono::milliseconds{static_cast<std::int64_t>(bits)}; }

std::string text_of(std::uint64_t tag, std::uint64_t time, std::uint64_t random) {
  return std::string{OwnerId{Parts{.tag = {tag}, .asked_at = ms(time), .random = random}}.text()};
}

const auto has_the_form =
    ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");

// The version and the variant stand where RFC 9562 wants them, even when all other bits are 0, or 1.
TEST(OwnerId, IsAVersion4Uuid) {
  EXPECT_EQ(text_of(0, 0, 0), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(text_of(ones(40), ones(42), ones(40)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  EXPECT_EQ(text_of(all, all, all), "ffffffff-ffff-4fff-bfff-ffffffffffff") << "what is too much is cut off";
}

// People find the tag at the beginning and the random bits at the end; the time stands between, around the fixed bits.
TEST(OwnerId, KeepsTheOrderOfTheParts) {
  EXPECT_EQ(text_of(0x0123456789, 0, 0), "01234567-8900-4000-8000-000000000000");
  EXPECT_EQ(text_of(0, 0, 0x0123456789), "00000000-0000-4000-8000-000123456789");
  EXPECT_EQ(text_of(0, ones(42), 0), "00000000-00ff-4fff-bfff-ff0000000000");
  EXPECT_EQ(text_of(0x0000070a0b, 1'760'000'000'000, 0xc0ffee), "0000070a-0b66-4720-acc0-000000c0ffee");
}

// Each bit of each part, set alone and cleared alone, is read back, and makes another id.
TEST(OwnerId, IsReadBack) {
  const auto expect_read_back = [](std::uint64_t tag, std::uint64_t time, std::uint64_t random) {
    const std::string text = text_of(tag, time, random);
    EXPECT_THAT(text, has_the_form);
    const auto read = read_owner_id(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->tag, Tag{tag}) << text;
    EXPECT_EQ(read->asked_at, ms(time)) << text;
    EXPECT_EQ(read->random, random) << text;
  };
  for (int bit = 0; bit < 40; ++bit) {
    const std::uint64_t mask = std::uint64_t{1} << bit;
    expect_read_back(mask, 0, 0);
    expect_read_back(0, 0, mask);
    expect_read_back(ones(40) ^ mask, ones(42), ones(40));
    expect_read_back(ones(40), ones(42), ones(40) ^ mask);
  }
  for (int bit = 0; bit < 42; ++bit) {
    const std::uint64_t mask = std::uint64_t{1} << bit;
    expect_read_back(0, mask, 0);
    expect_read_back(ones(40), ones(42) ^ mask, ones(40));
  }
}

TEST(OwnerId, WhatHasAnotherFormIsNotRead) {
  const std::string good = text_of(0x0123456789, 1'760'000'000'000, 0x9876543210);
  EXPECT_TRUE(read_owner_id(good));
  EXPECT_FALSE(read_owner_id(""));
  EXPECT_FALSE(read_owner_id(good + "0"));
  EXPECT_FALSE(read_owner_id(good.substr(1)));
  for (std::size_t place = 0; place < good.size(); ++place) {
    for (const char other : {'g', ' ', '\0', '_'}) {
      std::string changed = good;
      changed[place] = other;
      EXPECT_FALSE(read_owner_id(changed)) << changed;
    }
  }
  for (const auto* foreign : {"919108f7-52d1-1320-9bac-f847db4148a8", "919108f7-52d1-4320-cbac-f847db4148a8",
                              "919108f7-52d1-4320-1bac-f847db4148a8", "919108F7-52D1-4320-9BAC-F847DB4148A8"}) {
    EXPECT_FALSE(read_owner_id(foreign)) << foreign;
  }
}

TEST(Tag, TellsTheConnection) {
  EXPECT_EQ(make_tag(7, 0xabcdef), Tag{0x000007'cdef});
  EXPECT_EQ(make_tag(0x1234'5678'9abc, all), Tag{0x789abc'ffff}) << "the last 24 bits";
  EXPECT_EQ(make_tag(7, 0xabcdef).text(), "000007cdef");
}

TEST(Tag, IsRandomWhereNoConnectionIsKnown) {
  EXPECT_EQ(make_tag(0, 0x1122334455667788), Tag{0x4455667788});
  EXPECT_EQ(make_tag(-1, all).text(), "ffffffffff");
  EXPECT_EQ(Tag{}.text(), "0000000000");
}

}  // namespace
}  // namespace redismutex::protocol
