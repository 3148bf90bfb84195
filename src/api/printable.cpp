#include <algorithm>
#include <array>
#include <redismutex/printable.hpp>

namespace redismutex {
namespace {

unsigned char byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

/// The bytes of the UTF-8 character that the text begins with; 0 if it begins with something else. Overlong forms,
/// surrogates and what is above U+10FFFF are no characters.
/// Source: The Unicode Standard, table 3-7, "Well-Formed UTF-8 Byte Sequences".
std::size_t size_of_character(std::string_view text) {
  struct Form {
    unsigned char first_from, first_to, second_from, second_to;
    std::size_t size;
  };
  static constexpr std::array<Form, 8> forms{{{0xC2, 0xDF, 0x80, 0xBF, 2},
                                              {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                              {0xE1, 0xEC, 0x80, 0xBF, 3},
                                              {0xED, 0xED, 0x80, 0x9F, 3},
                                              {0xEE, 0xEF, 0x80, 0xBF, 3},
                                              {0xF0, 0xF0, 0x90, 0xBF, 4},
                                              {0xF1, 0xF3, 0x80, 0xBF, 4},
                                              {0xF4, 0xF4, 0x80, 0x8F, 4}}};
  const unsigned char first = byte_at(text, 0);
  if (first < 0x80) return 1;
  for (const Form& form : forms) {
    if (first < form.first_from || first > form.first_to) continue;
    const unsigned char second = byte_at(text, 1);
    if (second < form.second_from || second > form.second_to) return 0;
    for (std::size_t i = 2; i < form.size; ++i) {
      if ((byte_at(text, i) & 0xC0) != 0x80) return 0;
    }
    return form.size;
  }
  return 0;
}

bool is_control(std::string_view character) {
  const unsigned char first = byte_at(character, 0);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && byte_at(character, 1) < 0xA0;
}

std::string escaped(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    switch (c) {
      case '\n': text += "\\n"; continue;
      case '\r': text += "\\r"; continue;
      case '\t': text += "\\t"; continue;
      default: break;
    }
    const auto byte = static_cast<unsigned char>(c);
    text += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
  }
  return text;
}

}  // namespace

std::string REDISMUTEX_ABI::printable(std::string_view text, std::size_t longest) {
  constexpr std::string_view dots = "...";
  const std::size_t for_dots = std::min(dots.size(), longest);
  std::string shown;
  std::size_t fitting = 0;  // so much of it leaves room for the dots
  while (!text.empty()) {
    const std::size_t size = size_of_character(text);
    const std::string_view character = text.substr(0, size == 0 ? 1 : size);
    const std::string piece = size == 0 || is_control(character) ? escaped(character) : std::string{character};
    if (piece.size() > longest - shown.size()) return shown.erase(fitting).append(dots.substr(0, for_dots));
    shown += piece;
    if (shown.size() <= longest - for_dots) fitting = shown.size();
    text.remove_prefix(character.size());
  }
  return shown;
}

}  // namespace redismutex
