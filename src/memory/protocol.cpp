#include "memory/protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "memory/arguments.hpp"

namespace redismutex::memory {
namespace {

constexpr std::string_view line_end = "\r\n";

// More than any client of ours sends.
constexpr std::int64_t most_arguments = 1024 * 1024;
constexpr std::int64_t longest_argument = 512 * 1024 * 1024;

/// Reads one command, from the left.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_{bytes} {}

  std::size_t consumed() const noexcept { return at_; }

  /// "*3\r\n"; none: there is more to come.
  std::optional<std::size_t> length(char sign, std::int64_t most) {
    const std::size_t end = bytes_.find(line_end, at_);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = bytes_.substr(at_, end - at_);
    const auto count = line.starts_with(sign) ? integer(std::string{line.substr(1)}) : std::nullopt;
    if (!count || *count < 0 || *count > most) throw std::invalid_argument{"ERR Protocol error: no command"};
    at_ = end + line_end.size();
    return static_cast<std::size_t>(*count);
  }

  std::optional<std::string> argument() {
    const auto size = length('$', longest_argument);
    if (!size || bytes_.size() - at_ < *size + line_end.size()) return std::nullopt;
    std::string text{bytes_.substr(at_, *size)};
    at_ += *size + line_end.size();
    return text;
  }

 private:
  const std::string_view bytes_;
  std::size_t at_ = 0;
};

void append_line(std::string& bytes, char sign, std::string_view text) {
  bytes += sign;
  bytes += text;
  bytes += line_end;
}

void append_list(std::string& bytes, char sign, const Value& value, std::size_t size) {
  append_line(bytes, sign, std::to_string(size));
  for (const Value& element : value.elements) append(bytes, element);
}

}  // namespace

std::optional<std::vector<std::string>> take_command(std::string& bytes) {
  Reader reader{bytes};
  const auto count = reader.length('*', most_arguments);
  if (!count) return std::nullopt;
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < *count; ++i) {
    auto argument = reader.argument();
    if (!argument) return std::nullopt;
    arguments.push_back(std::move(*argument));
  }
  bytes.erase(0, reader.consumed());
  return arguments;
}

void append(std::string& bytes, const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::nil: return append_line(bytes, '_', "");
    case Kind::integer: return append_line(bytes, ':', std::to_string(value.integer));
    case Kind::real: return append_line(bytes, ',', value.text);
    case Kind::status: return append_line(bytes, '+', value.text);
    case Kind::error: return append_line(bytes, '-', value.text);
    case Kind::bulk:
      append_line(bytes, '$', std::to_string(value.text.size()));
      bytes += value.text;
      bytes += line_end;
      return;
    case Kind::array: return append_list(bytes, '*', value, value.elements.size());
    case Kind::push: return append_list(bytes, '>', value, value.elements.size());
    case Kind::map: return append_list(bytes, '%', value, value.elements.size() / 2);
  }
}

}  // namespace redismutex::memory
