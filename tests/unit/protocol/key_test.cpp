#include "protocol/key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/slot.hpp"

namespace redismutex::protocol {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Whatever bytes a key has, they are what is sent: zeros, blanks and braces are no special characters.
TEST(Key, KeepsEveryByte) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(Key{bytes}.text(), bytes);
  EXPECT_EQ(Key{"k"}.text(), "k");
}

// An empty key is refused.
TEST(Key, MustNotBeEmpty) {
  EXPECT_THAT([] { Key{""}; }, ThrowsMessage<std::invalid_argument>(HasSubstr("empty")));
  EXPECT_THAT([] { Key{std::string_view{}}; }, ThrowsMessage<std::invalid_argument>(HasSubstr("empty")));
}

// The longest key is accepted; one byte more is refused, with both numbers.
TEST(Key, HasALimit) {
  EXPECT_EQ(Key{std::string(Key::max_size, 'x')}.text().size(), 4096u);
  EXPECT_THAT([] { Key{std::string(Key::max_size + 1, 'x')}; },
              ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("4097"), HasSubstr("4096"))));
}

// Keys that begin like the names beside keys are refused, with a sentence that says so; what only looks similar is a key.
TEST(Key, MustNotBeginLikeTheNamesBesideKeys) {
  for (const char* text : {"redismutex:", "redismutex:{stock}", "redismutex:floor:{stock}", "redismutex:wake:x"}) {
    EXPECT_THAT([text] { Key{text}; },
                ThrowsMessage<std::invalid_argument>(
                    AllOf(HasSubstr("the key begins with 'redismutex:'"), HasSubstr("choose another one"))))
        << text;
  }
  for (const char* text : {"redismutex", "redismutex/x", "Redismutex:x", " redismutex:x", "{redismutex:}x"}) {
    EXPECT_EQ(Key{text}.text(), text);
  }
}

// The names beside a key are made in one of three ways: a plain key becomes the hash tag; one that has a tag keeps it; one
// that has none, but a closing brace, which would end a tag too soon, is put behind a word of its slot.
TEST(Key, NamesWhatStandsBesideIt) {
  const std::string braces = "a}b", empty_tag = "{}stock";
  for (const auto& [text, rest] : {
           std::pair<std::string, std::string>{"stock", "{stock}"},
           {"a{b", "{a{b}"},
           {"{", "{{}"},
           {"{stock}", ":{stock}"},
           {"a{stock}b", ":a{stock}b"},
           {"}{stock}", ":}{stock}"},
           {"{{x}}", ":{{x}}"},
           {braces, "{" + std::string{word_of(slot_of(braces))} + "}" + braces},
           {empty_tag, "{" + std::string{word_of(slot_of(empty_tag))} + "}" + empty_tag},
       }) {
    const Key key{text};
    EXPECT_EQ(key.line(), "redismutex:" + rest);
    EXPECT_EQ(key.floor(), "redismutex:floor:" + rest);
  }
}

/// Keys of up to 8 characters, most of them braces; the same in every run, and none twice.
std::set<std::string> random_keys(std::size_t count) {
  constexpr std::string_view characters = "{}{}{}ab:";
  std::mt19937 random{20251128};  // NOLINT(cert-msc32-c,cert-msc51-cpp): to be the same in every run
  std::set<std::string> keys;
  while (keys.size() < count) {
    std::string text(1 + random() % 8, ' ');
    for (char& character : text) character = characters[random() % characters.size()];
    keys.insert(std::move(text));
  }
  return keys;
}

// Whatever braces a key has, the names beside it lie in its own slot of a cluster; different keys have different names, and
// no name is that of anything else, nor a key itself. Held over many random keys, of which each of the three kinds has its
// share.
TEST(Key, HasNamesOfItsOwnInItsOwnSlot) {
  constexpr std::size_t count = 5'000;
  std::set<std::string> names;
  std::size_t plain = 0, tagged = 0;
  for (const std::string& text : random_keys(count)) {
    const Key key{text};
    const std::uint16_t slot = slot_of(text);
    ASSERT_EQ(slot_of(key.line()), slot) << text;
    ASSERT_EQ(slot_of(key.floor()), slot) << text;
    for (const std::string& name : {key.text(), key.line(), key.floor()}) {
      ASSERT_TRUE(names.insert(name).second) << text << " has " << name;
    }
    ASSERT_TRUE(key.line().starts_with(Key::prefix) && key.floor().starts_with(Key::prefix)) << text;
    if (hashed_part(text).size() < text.size()) {
      ++tagged;
    } else if (text.find('}') == std::string::npos) {
      ++plain;
    }
  }
  EXPECT_GT(plain, count / 20);
  EXPECT_GT(tagged, count / 20);
  EXPECT_GT(count - plain - tagged, count / 20);
}

}  // namespace
}  // namespace redismutex::protocol
