#include "protocol/owner_id.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "protocol/number.hpp"

namespace redismutex::protocol {
namespace {

constexpr std::uint64_t low_bits(std::uint64_t value, int count) { return value & ((std::uint64_t{1} << count) - 1); }

/// By two digits at a time: an id is written for each lock that is taken.
constexpr auto digits_of_byte = [] {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> all{};
  for (std::size_t byte = 0; byte < all.size(); ++byte) all[byte] = {digits[byte >> 4], digits[byte & 0xf]};
  return all;
}();

template <int bytes>
void write_hex(char* to, std::uint64_t value) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    const auto& digits = digits_of_byte[(value >> shift) & 0xff];
    to = std::copy(digits.begin(), digits.end(), to);
  }
}

/// The number that hexadecimal digits stand for; small letters only.
std::optional<std::uint64_t> read_hex(std::string_view digits) {
  if (digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  return number_in<std::uint64_t>(digits, 16);
}

// Where the digits of a UUID stand in its text.
constexpr std::string_view form = "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx";
static_assert(form.size() == OwnerId::size);

}  // namespace

std::string Tag::text() const {
  std::string text(10, '0');
  write_hex<5>(text.data(), low_bits(bits, 40));
  return text;
}

Tag make_tag(std::int64_t client_id, std::uint64_t random) {
  if (client_id <= 0) return {low_bits(random, 40)};
  return {low_bits(static_cast<std::uint64_t>(client_id), 24) << 16 | low_bits(random, 16)};
}

// The bits of the time are cut in three by the version and the variant: 8 before, 12 between, 22 behind.
OwnerId::OwnerId(const Parts& parts) {
  const std::uint64_t tag = low_bits(parts.tag.bits, 40);
  const std::uint64_t time = low_bits(static_cast<std::uint64_t>(parts.asked_at.count()), 42);
  const std::uint64_t behind = low_bits(time, 22);
  std::copy(form.begin(), form.end(), text_.begin());
  write_hex<4>(text_.data(), tag >> 8);
  write_hex<2>(&text_[9], low_bits(tag, 8) << 8 | time >> 34);
  write_hex<2>(&text_[14], 0x4000 | low_bits(time >> 22, 12));
  write_hex<2>(&text_[19], 0x8000 | behind >> 8);
  write_hex<6>(&text_[24], low_bits(behind, 8) << 40 | low_bits(parts.random, 40));
}

std::optional<OwnerId::Parts> read_owner_id(std::string_view text) {
  if (text.size() != OwnerId::size) return std::nullopt;
  for (std::size_t i = 0; i < OwnerId::size; ++i) {
    if (form[i] != 'x' && form[i] != text[i]) return std::nullopt;
  }
  const auto first = read_hex(text.substr(0, 8));
  const auto second = read_hex(text.substr(9, 4));
  const auto third = read_hex(text.substr(15, 3));
  const auto fourth = read_hex(text.substr(19, 4));
  const auto fifth = read_hex(text.substr(24, 12));
  if (!first || !second || !third || !fourth || !fifth || *fourth >> 14 != 0b10) return std::nullopt;
  const std::uint64_t time = low_bits(*second, 8) << 34 | *third << 22 | low_bits(*fourth, 14) << 8 | *fifth >> 40;
  return OwnerId::Parts{
      .tag = {*first << 8 | *second >> 8}, .asked_at = std::chrono::milliseconds{time}, .random = low_bits(*fifth, 40)};
}

}  // namespace redismutex::protocol
