#pragma once

#include <redismutex/printable.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex::cli {

/// What a message would show otherwise than it is: $'...' as bash, zsh and ksh read it.
inline std::string escaped_shell_word(std::string_view word) {
  std::string text;
  for (const char c : word) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return "$'" + printable(text) + "'";
}

/// The word as a shell reads it as one. A message may make it printable, and it stays the same.
inline std::string shell_word(std::string_view word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+%@=,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) return std::string{word};
  if (printable(word) != word) return escaped_shell_word(word);
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{R"('\'')"} : std::string(1, c);
  return text + "'";
}

/// As an operand of a command: behind "--" if it would be read as an option.
inline std::string shell_operand(std::string_view word) {
  return (word.starts_with('-') ? "-- " : "") + shell_word(word);
}

/// All of them, with a blank before each.
inline std::string shell_words(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += " " + shell_word(word);
  return text;
}

}  // namespace redismutex::cli
