#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace redismutex::memory {

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

/// As "%.17g" shows it.
inline std::string digits_of(double number) {
  constexpr double most_exact = 1e16;
  std::array<char, 64> digits{};
  if (std::abs(number) < most_exact && number == std::floor(number)) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::int64_t>(number)).ptr;
    return {digits.data(), end};
  }
  std::snprintf(digits.data(), digits.size(), "%.17g", number);
  return digits.data();
}

}  // namespace redismutex::memory
