#include "memory/sha1.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace redismutex::memory {
namespace {

constexpr std::size_t block_size = 64;
constexpr std::size_t rounds = 80;

using State = std::array<std::uint32_t, 5>;

/// With what the standard puts behind it: a bit, zeros, and how many bits the text has.
std::string padded(std::string_view text) {
  std::string bytes{text};
  bytes.push_back('\x80');
  while (bytes.size() % block_size != block_size - 8) bytes.push_back('\0');
  const std::uint64_t bits = std::uint64_t{text.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(bits >> shift & 0xff));
  return bytes;
}

std::array<std::uint32_t, rounds> schedule(std::string_view block) {
  std::array<std::uint32_t, rounds> words{};
  for (std::size_t i = 0; i < block_size; ++i) words[i / 4] = words[i / 4] << 8 | static_cast<unsigned char>(block[i]);
  for (std::size_t i = 16; i < rounds; ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  return words;
}

struct Mix {
  std::uint32_t value, constant;
};

Mix mix(std::size_t round, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  if (round < 20) return {(b & c) | (~b & d), 0x5a827999};
  if (round < 40) return {b ^ c ^ d, 0x6ed9eba1};
  if (round < 60) return {(b & c) | (b & d) | (c & d), 0x8f1bbcdc};
  return {b ^ c ^ d, 0xca62c1d6};
}

void digest(std::string_view block, State& state) {
  const auto words = schedule(block);
  auto [a, b, c, d, e] = state;
  for (std::size_t i = 0; i < rounds; ++i) {
    const Mix mixed = mix(i, b, c, d);
    const std::uint32_t next = std::rotl(a, 5) + mixed.value + e + mixed.constant + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

std::string sha1(std::string_view text) {
  State state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const std::string bytes = padded(text);
  for (std::size_t at = 0; at < bytes.size(); at += block_size) {
    digest(std::string_view{bytes}.substr(at, block_size), state);
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) hex.push_back(digits[word >> shift & 15]);
  }
  return hex;
}

}  // namespace redismutex::memory
