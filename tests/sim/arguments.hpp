#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace redismutex::sim {

// What the commands of the simulated server have in common.

constexpr const char* wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
constexpr const char* not_an_integer = "ERR value is not an integer or out of range";

inline std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

inline std::optional<std::int64_t> integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace redismutex::sim
