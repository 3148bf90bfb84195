#include "net/command.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

#include "net/resp.hpp"

namespace redismutex::net {
namespace {

// "$18446744073709551615\r\n": a mark, the longest number, the end of the line.
constexpr std::size_t longest_length = 23;

/// "$5\r\n", for instance. Returns where it ends.
char* write_length(char* to, char mark, std::size_t count) {
  *to++ = mark;
  if (count < 10) {  // as most are
    *to++ = static_cast<char>('0' + count);
  } else {
    to = std::to_chars(to, to + longest_length, count).ptr;
  }
  return std::copy(line_end.begin(), line_end.end(), to);
}

}  // namespace

void append_command(std::string& out, std::span<const std::string_view> arguments) {
  const std::size_t before = out.size();
  std::size_t most = longest_length;
  for (const std::string_view argument : arguments) most += longest_length + argument.size() + line_end.size();
  out.resize(before + most);
  char* to = write_length(out.data() + before, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    to = write_length(to, '$', argument.size());
    to = std::copy(argument.begin(), argument.end(), to);
    to = std::copy(line_end.begin(), line_end.end(), to);
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
}

}  // namespace redismutex::net
