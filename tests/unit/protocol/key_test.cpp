#include "protocol/key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

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

}  // namespace
}  // namespace redismutex::protocol
