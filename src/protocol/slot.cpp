#include "protocol/slot.hpp"

#include <array>
#include <cstddef>

namespace redismutex::protocol {
namespace {

constexpr std::uint16_t slots = 16384;
constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyz";

/// CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
constexpr std::array<std::uint16_t, 256> crc_table() {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8U;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1U) ^ 0x1021U : crc << 1U;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}

// Not within with_next(), which would copy it to the stack in each call.
constexpr std::array<std::uint16_t, 256> crc_of_byte = crc_table();

constexpr std::uint16_t with_next(std::uint16_t crc, char next) {
  const unsigned index = (static_cast<unsigned>(crc) >> 8U) ^ static_cast<unsigned char>(next);
  return static_cast<std::uint16_t>((static_cast<unsigned>(crc) << 8U) ^ crc_of_byte[index]);
}

/// The first word of that many letters more whose slot is the wanted one; `word` and `crc` are of those before.
bool find_word(std::string& word, std::uint16_t crc, std::size_t more, std::uint16_t slot) {
  if (more == 0) return crc % slots == slot;
  for (const char letter : letters) {
    word.push_back(letter);
    if (find_word(word, with_next(crc, letter), more - 1, slot)) return true;
    word.pop_back();
  }
  return false;
}

}  // namespace

std::string_view hashed_part(std::string_view key) {
  const auto opening = key.find('{');
  if (opening == std::string_view::npos) return key;
  const auto closing = key.find('}', opening);
  if (closing == std::string_view::npos || closing == opening + 1) return key;
  return key.substr(opening + 1, closing - opening - 1);
}

std::uint16_t slot_of(std::string_view key) {
  std::uint16_t crc = 0;
  for (const char next : hashed_part(key)) crc = with_next(crc, next);
  return crc % slots;
}

std::string word_of(std::uint16_t slot) {
  std::string word;
  for (std::size_t length = 1; !find_word(word, 0, length, slot); ++length) {
  }
  return word;
}

}  // namespace redismutex::protocol
