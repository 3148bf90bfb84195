#include "protocol/key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "protocol/slot.hpp"
#include "support/allocations.hpp"

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
  const std::string longest(Key::max_size, 'x');
  const Key key{longest};
  EXPECT_EQ(key.text(), longest);
  EXPECT_EQ(key.text().size(), 4096u);
  EXPECT_EQ(key.line(), "redismutex:{" + longest + "}");
  EXPECT_EQ(key.floor(), "redismutex:floor:{" + longest + "}");
  EXPECT_EQ(key.about(), "redismutex:about:{" + longest + "}");
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
    EXPECT_EQ(key.text(), text);
    EXPECT_EQ(key.line(), "redismutex:" + rest);
    EXPECT_EQ(key.floor(), "redismutex:floor:" + rest);
    EXPECT_EQ(key.about(), "redismutex:about:" + rest);
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
// no name is that of anything else, nor a key itself. From each name the key can be told. Held over many random keys, of which each of the three kinds has its
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
    ASSERT_EQ(slot_of(key.about()), slot) << text;
    for (const std::string_view name : {key.line(), key.floor(), key.about()}) {
      const auto found = key_beside(name);
      ASSERT_TRUE(found && found->text() == text) << name;
    }
    ASSERT_FALSE(key_beside(text)) << text;
    for (const std::string_view name : {key.text(), key.line(), key.floor(), key.about()}) {
      ASSERT_TRUE(names.emplace(name).second) << text << " has " << name;
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

/// A number out of the names, so that the compiler can not do without them.
std::size_t size_of(const Key& key) {
  return key.text().size() + key.line().size() + key.floor().size() + key.about().size();
}

// A key and all of its names are one block of memory, however long they are; no copy, move or assignment takes any.
TEST(Key, IsOneAllocation) {
  std::size_t size = 0;
  size += size_of(Key{"{}warm up"});  // the words of all slots are made once
  for (const std::string& text :
       {std::string{"k"}, std::string{"{tag}"}, std::string{"a}b"}, std::string(Key::max_size, 'x')}) {
    const auto before = redismutex::testing::allocations();
    Key key{text};
    EXPECT_EQ(redismutex::testing::allocations() - before, 1u) << text;
    Key copy{key};
    Key other{std::move(key)};
    key = copy;
    copy = std::move(other);
    size += size_of(key) + size_of(copy);
    EXPECT_EQ(redismutex::testing::allocations() - before, 1u) << text;
  }
  EXPECT_GT(size, 0u);
  static_assert(std::is_nothrow_copy_constructible_v<Key> && std::is_nothrow_copy_assignable_v<Key>);
  static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_assignable_v<Key>);
}

// Where there is no memory for a key, nothing is left behind.
TEST(Key, ReportsThatThereIsNoMemory) {
  redismutex::testing::allocations_left = 0;
  EXPECT_THROW(Key{"stock"}, std::bad_alloc);
  redismutex::testing::allocations_left = -1;
}

// Copies share the texts, which stay where they are until the last one is gone, in whichever order they go.
TEST(Key, SharesItsTextsWithItsCopies) {
  std::optional<Key> first{"a}b"};
  std::optional<Key> second{*first};
  const char* const place = first->text().data();
  EXPECT_EQ(second->text().data(), place);
  EXPECT_EQ(second->about().data(), first->about().data());
  first.reset();
  EXPECT_EQ(second->text(), "a}b");
  Key third{"other"};
  third = *second;
  second.reset();
  EXPECT_EQ(third.text().data(), place);
  third = *&third;  // to itself
  EXPECT_EQ(third.text(), "a}b");
  EXPECT_THAT(std::string{third.floor()}, ::testing::StartsWith("redismutex:floor:{"));
}

// Threads may copy a key, and let go of it, at the same time; the last one frees it, once.
TEST(Key, IsSharedAmongThreads) {
  constexpr int rounds = 2'000;
  std::optional<Key> key{"stock"};
  std::array<Key, 2> own{*key, *key};
  key.reset();
  const auto copy_often = [](Key mine) {
    for (int i = 0; i < rounds; ++i) {
      const Key copy{mine};
      if (copy.line() != "redismutex:{stock}") ADD_FAILURE() << copy.line();
    }
  };
  std::thread other{copy_often, std::move(own[0])};
  copy_often(std::move(own[1]));
  other.join();
}

// What only looks like a name beside a key has none.
TEST(Key, IsNotFoundBesideOtherNames) {
  for (const std::string name : {"", "redismutex", "redismutex:", "redismutex:x", "redismutex:{", "redismutex:{}",
                                 "redismutex::", "redismutex::plain", "redismutex:{a}b", "redismutex:{0}a}b",
                                 "redismutex:wake:0123456789", "redismutex:floor:", "redismutex:floor:x",
                                 "redismutex:{redismutex:x}", "redismutex:{a{b}c}", "redismutex:about:about:{x}"}) {
    EXPECT_FALSE(key_beside(name)) << name;
  }
  EXPECT_FALSE(key_beside("redismutex:{" + std::string(Key::max_size + 1, 'x') + "}"));
  EXPECT_TRUE(key_beside("redismutex:{" + std::string(Key::max_size, 'x') + "}"));
}

}  // namespace
}  // namespace redismutex::protocol
