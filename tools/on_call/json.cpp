#include "json.hpp"

#include <cstdint>
#include <redismutex/printable.hpp>

namespace redismutex::cli {
namespace {

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    const std::size_t size = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j) {
      three = three << 8U | (j < size ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) text += j <= size ? digits[three >> (18 - 6 * j) & 63U] : '=';
  }
  return text;
}

/// How many bytes the first character has; 0: it is no UTF-8.
std::size_t size_of_character(std::string_view text) {
  const std::size_t longest = std::min<std::size_t>(4, text.size());
  for (std::size_t size = 1; size <= longest; ++size) {
    const std::string_view character = text.substr(0, size);
    // What is shown as it is, is UTF-8. Control characters are, and are shown in other ways.
    if (size == 1 && static_cast<unsigned char>(character[0]) < 0x80) return 1;
    if (size == 2 && character[0] == '\xc2' && static_cast<unsigned char>(character[1]) - 0x80U < 0x20U) return 2;
    if (printable(character) == character) return size;
  }
  return 0;
}

}  // namespace

std::string json_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t size = size_of_character(bytes);
    if (size == 0)
      text += printable(bytes.substr(0, 1));
    else
      text += bytes.substr(0, size);
    bytes.remove_prefix(size == 0 ? 1 : size);
  }
  return text;
}

void add_json_text(nlohmann::ordered_json& object, const std::string& name, std::string_view bytes) {
  const std::string text = json_text(bytes);
  object[name] = text;
  if (text != bytes) object[name + "_base64"] = base64(bytes);
}

}  // namespace redismutex::cli
