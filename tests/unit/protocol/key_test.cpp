#include "protocol/key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

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

/// Of the part of a key that decides on its slot in a cluster. Source: Redis Cluster specification, "Hash tags".
std::string hashed_part(const std::string& text) {
  const auto opening = text.find('{');
  if (opening == std::string::npos) return text;
  const auto closing = text.find('}', opening);
  return closing == std::string::npos || closing == opening + 1 ? text
                                                                : text.substr(opening + 1, closing - opening - 1);
}

// The hash beside the key lies in the slot of the key in a cluster, whether that has a hash tag or not. (But for keys with a
// closing brace and no tag, for which there is no such name.)
TEST(Key, HasItsQueueInItsOwnSlot) {
  for (const char* text : {"stock", "{stock}", "a{stock}b", "{a}{b}", "{unfinished", "{{x}}", "a{b", " "}) {
    const Key key{text};
    EXPECT_EQ(hashed_part(key.queue()), hashed_part(key.text())) << text;
  }
}

// Different keys have different queues; and none is its own.
TEST(Key, HasAQueueOfItsOwn) {
  std::set<std::string> names;
  const std::vector<std::string> keys{"stock",    "{stock}", "{stock",  "stock}", "a{stock}",
                                      "{stock}a", "{}",      "{}stock", "}{"};
  for (const std::string& text : keys) {
    names.insert(Key{text}.queue());
    names.insert(text);
  }
  EXPECT_EQ(names.size(), 2 * keys.size());
}

}  // namespace
}  // namespace redismutex::protocol
