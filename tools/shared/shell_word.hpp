#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace redismutex::cli {

/// The word as a shell reads it as one.
inline std::string shell_word(std::string_view word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+%@=,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) return std::string{word};
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{R"('\'')"} : std::string(1, c);
  return text + "'";
}

/// All of them, with a blank before each.
inline std::string shell_words(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += " " + shell_word(word);
  return text;
}

}  // namespace redismutex::cli
