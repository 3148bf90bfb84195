#include "net/command.hpp"

#include <array>
#include <charconv>
#include <cstddef>

namespace redismutex::net {
namespace {

/// "$5\r\n", for instance.
void append_length(std::string& out, char mark, std::size_t count) {
  std::array<char, 24> text;  // NOLINT(cppcoreguidelines-pro-type-member-init): a size_t has 20 digits at most
  text[0] = mark;
  char* end = std::to_chars(text.data() + 1, text.data() + text.size() - 2, count).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(text.data(), end);
}

}  // namespace

void append_command(std::string& out, std::span<const std::string_view> arguments) {
  append_length(out, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    append_length(out, '$', argument.size());
    out.append(argument).append("\r\n");
  }
}

}  // namespace redismutex::net
