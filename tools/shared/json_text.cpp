#include "shared/json_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>

namespace redismutex::cli {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

unsigned byte_at(std::string_view text, std::size_t index) { return static_cast<unsigned char>(text[index]); }

/// The length of the character that the text begins with; 0 if that is none. Source: RFC 3629, section 4.
std::size_t character(std::string_view text) {
  const auto lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xc2 && lead < 0xe0   ? 2
                           : (lead & 0xf0U) == 0xe0      ? 3
                           : lead >= 0xf0 && lead < 0xf5 ? 4
                                                         : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte_at(text, i) & 0xc0U) != 0x80) return 0;
  }
  const auto second = byte_at(text, 1);
  const bool is_too_long = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool is_no_scalar = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
  return is_too_long || is_no_scalar ? 0 : size;
}

std::string hexadecimal(unsigned byte) { return {hex_digits[byte >> 4U], hex_digits[byte & 0xfU]}; }

}  // namespace

std::string json_string(std::string_view text) {
  std::string result{"\""};
  while (!text.empty()) {
    const std::size_t size = character(text);
    const char first = text.front();
    if (size == 0) {
      result.append(R"(\\x)").append(hexadecimal(byte_at(text, 0)));
    } else if (first == '"' || first == '\\') {
      result.append(1, '\\').append(1, first);
    } else if (byte_at(text, 0) < ' ' || first == '\x7f') {
      result.append(R"(\u00)").append(hexadecimal(byte_at(text, 0)));
    } else {
      result.append(text.substr(0, size));
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result.append("\"");
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(3, bytes.size()))) {
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 3; ++i) three = three << 8U | (i < bytes.size() ? byte_at(bytes, i) : 0);
    for (std::size_t i = 0; i < 4; ++i) {
      result += i <= bytes.size() ? digits[three >> (18 - 6 * i) & 63U] : '=';
    }
  }
  return result;
}

std::string json_seconds(std::chrono::milliseconds duration) {
  std::ostringstream text;
  text.precision(15);
  text << std::chrono::duration<double>{duration}.count();
  return text.str();
}

std::string json_key(std::string_view key) {
  std::string result = "\"key\":" + json_string(key);
  if (!is_utf8(key)) result.append(R"(,"key_base64":")").append(base64(key)).append("\"");
  return result;
}

}  // namespace redismutex::cli
