#include "protocol/slot.hpp"

#include <array>
#include <cstddef>

namespace redismutex::protocol {
namespace {

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

/// A word of a slot, as `word_of` has them.
struct Word {
  std::array<char, 4> letters{};
  std::uint8_t size = 0;
};

/// The words of all slots. To look for one alone takes a good part of the time that all of them take.
class Words {
 public:
  Words() {
    for (std::size_t size = 1; missing_ > 0; ++size) add({}, 0, size);
  }

  std::string_view of(std::uint16_t slot) const { return {words_[slot].letters.data(), words_[slot].size}; }

 private:
  /// Adds the words of so many letters more that begin like that one.
  void add(Word word, std::uint16_t crc, std::size_t more) {
    if (more > 0) {
      const std::size_t last = word.size++;
      for (const char letter : letters) {
        if (missing_ == 0) return;
        word.letters.at(last) = letter;
        add(word, with_next(crc, letter), more - 1);
      }
    } else if (Word& first = words_[crc % slot_count]; first.size == 0) {
      first = word;
      --missing_;
    }
  }

  std::array<Word, slot_count> words_{};
  std::size_t missing_ = slot_count;
};

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
  return crc % slot_count;
}

std::string_view word_of(std::uint16_t slot) {
  static const Words words;
  return words.of(slot);
}

}  // namespace redismutex::protocol
