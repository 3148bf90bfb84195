#include "net/command.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Strings of any bytes, by their lengths; behind what is there already.
TEST(Command, IsAnArrayOfStrings) {
  std::string out = "before";
  append_command(out, std::array{"SET"sv, "a\0\r\n"sv, ""sv});
  EXPECT_EQ(out, "before*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n"s);
}

// Lengths of every number of digits.
TEST(Command, AnnouncesEveryLength) {
  for (const std::size_t size : {0U, 9U, 10U, 99U, 100U, 1000U, 1'000'000U}) {
    const std::string argument(size, 'x');
    std::string out;
    append_command(out, std::array{std::string_view{argument}});
    EXPECT_EQ(out, "*1\r\n$" + std::to_string(size) + "\r\n" + argument + "\r\n");
  }
}

// As many arguments as it takes: all leases of a process are renewed by one command.
TEST(Command, HasAnyNumberOfArguments) {
  const std::vector<std::string_view> arguments(5000, "x"sv);
  std::string expected = "*5000\r\n", out;
  for (std::size_t i = 0; i < arguments.size(); ++i) expected += "$1\r\nx\r\n";
  append_command(out, arguments);
  EXPECT_EQ(out, expected);
}

}  // namespace
}  // namespace redismutex::net
