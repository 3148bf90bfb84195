// What stands in a message is one line, does nothing to a terminal, and is whole characters.

#include <gtest/gtest.h>

#include <random>
#include <redismutex/printable.hpp>
#include <string>

namespace redismutex {
namespace {

using namespace std::string_literals;

TEST(Printable, LeavesCharactersAlone) {
  for (const std::string text : {"", "order:7", "it's \\ \"quoted\"", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x94\x92",
                                 "\xC2\xA0", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable("a\nb\rc\td"), R"(a\nb\rc\td)");
  EXPECT_EQ(printable("\x1b[2J\x07\x7f"), R"(\x1b[2J\x07\x7f)");
  EXPECT_EQ(printable("\0"s), R"(\x00)");
  EXPECT_EQ(printable("\xC2\x80 \xC2\x9B"
                      "31m \xC2\x9F"),
            R"(\xc2\x80 \xc2\x9b31m \xc2\x9f)");
}

// A terminal that does not speak UTF-8 takes single bytes from 80 to 9F for C1.
TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            R"(\x9b31m)");
  EXPECT_EQ(printable("caf\xE9"), R"(caf\xe9)");
  EXPECT_EQ(printable("\xC3"), R"(\xc3)") << "cut short";
  EXPECT_EQ(printable("\xE2\x82x"), R"(\xe2\x82x)") << "cut short";
  EXPECT_EQ(printable("\xC0\x9B"), R"(\xc0\x9b)") << "overlong";
  EXPECT_EQ(printable("\xE0\x82\x9B"), R"(\xe0\x82\x9b)") << "overlong";
  EXPECT_EQ(printable("\xED\xA0\x80"), R"(\xed\xa0\x80)") << "a surrogate";
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), R"(\xf4\x90\x80\x80)") << "above U+10FFFF";
  EXPECT_EQ(printable("\xFF\xFE"), R"(\xff\xfe)");
}

TEST(Printable, CutsBetweenCharactersOnly) {
  EXPECT_EQ(printable("12345678", 8), "12345678");
  EXPECT_EQ(printable("123456789", 8), "12345...");
  EXPECT_EQ(printable("123\xC3\xA9"
                      "678",
                      8),
            "123\xC3\xA9"
            "678");
  EXPECT_EQ(printable("123\xC3\xA9"
                      "6789",
                      8),
            "123\xC3\xA9...");
  EXPECT_EQ(printable("1234\xC3\xA9"
                      "789",
                      8),
            "1234...");
  EXPECT_EQ(printable("1234\n789", 8), "1234...") << "an escape is not cut either";
  EXPECT_EQ(printable("123456\xF0\x9F\x94\x92", 8), "12345...");
  EXPECT_EQ(printable("12", 1), ".");
  EXPECT_EQ(printable("12", 0), "");
  EXPECT_EQ(printable("", 0), "");
}

/// Whether it is UTF-8 without control characters, by a rule of its own.
bool is_harmless(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t size = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && byte < 0xC2) || i + size > text.size()) return false;
    char32_t point = size == 1 ? byte : byte & (0x7FU >> size);
    for (std::size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0U) != 0x80) return false;
      point = (point << 6U) | (next & 0x3FU);
    }
    if (point >= 0x80 && point < 0xA0) return false;
    i += size;
  }
  return true;
}

// Whatever comes in, and wherever it is cut: harmless, not longer than asked for; and what is printable stays as it is.
TEST(Printable, OfAnyBytesIsHarmless) {
  std::mt19937_64 random{7};
  constexpr char pieces[] = "\xC2\x9B\x85\xE2\x82\xAC\xF0\x9F\x94\x92\x1b\n[a\xED\xA0\x80";
  for (int i = 0; i < 10'000; ++i) {
    std::string text;
    for (auto left = random() % 24; left > 0; --left) {
      text += random() % 2 == 0 ? static_cast<char>(random() % 256) : pieces[random() % (sizeof pieces - 1)];
    }
    const std::string whole = printable(text);
    const std::size_t longest = random() % 24;
    const std::string cut = printable(text, longest);
    ASSERT_TRUE(is_harmless(whole)) << ::testing::PrintToString(text);
    ASSERT_TRUE(is_harmless(cut)) << ::testing::PrintToString(text) << longest;
    ASSERT_LE(cut.size(), longest);
    ASSERT_EQ(printable(whole), whole);
    if (whole.size() <= longest) {
      ASSERT_EQ(cut, whole);
    } else if (longest >= 3) {
      ASSERT_TRUE(cut.ends_with("...") && whole.starts_with(cut.substr(0, cut.size() - 3)));
    }
  }
}

}  // namespace
}  // namespace redismutex
