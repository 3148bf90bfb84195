#include "protocol/owner_id.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace redismutex::protocol {
namespace {

using Entropy = OwnerId::Entropy;

Entropy all(int value) {
  Entropy entropy;
  entropy.fill(static_cast<std::byte>(value));
  return entropy;
}

/// The 16 bytes that a UUID's text stands for.
Entropy bytes_of(const std::string& uuid) {
  std::string digits = uuid;
  std::erase(digits, '-');
  Entropy bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

// The version and the variant stand where RFC 9562 wants them, even when all random bits are 0, or 1.
TEST(OwnerId, IsAVersion4Uuid) {
  EXPECT_EQ(OwnerId{all(0)}.text(), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(OwnerId{all(0xff)}.text(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  const auto has_the_form =
      ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  for (int value = 0; value < 256; ++value) EXPECT_THAT(OwnerId{all(value)}.text(), has_the_form);
}

// The bytes appear in their order: the example of RFC 9562, appendix A.3, goes through unchanged.
TEST(OwnerId, KeepsTheOrderOfTheBytes) {
  const std::string example = "919108f7-52d1-4320-9bac-f847db4148a8";
  EXPECT_EQ(OwnerId{bytes_of(example)}.text(), example);
}

// Each of the 128 bits, set alone among zeros and cleared alone among ones, reaches the text, but for the fixed six.
TEST(OwnerId, KeepsTheOther122Bits) {
  int kept = 0;
  for (std::size_t bit = 0; bit < 128; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
    const std::size_t place = bit / 8;
    const std::byte fixed = place == 6 ? std::byte{0xf0} : place == 8 ? std::byte{0xc0} : std::byte{0};
    bool passed = true;
    for (const int background : {0x00, 0xff}) {
      Entropy entropy = all(background);
      entropy[place] ^= mask;
      passed = passed && OwnerId{entropy}.text() != OwnerId{all(background)}.text();
      EXPECT_EQ(bytes_of(OwnerId{entropy}.text())[place] & ~fixed, entropy[place] & ~fixed) << bit;
    }
    EXPECT_EQ(passed, (mask & fixed) == std::byte{0}) << bit;
    if (passed) ++kept;
  }
  EXPECT_EQ(kept, 122);
}

}  // namespace
}  // namespace redismutex::protocol
