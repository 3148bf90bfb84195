#include "protocol/owner_id.hpp"

#include <string_view>

namespace redismutex::protocol {

OwnerId::OwnerId(const Entropy& entropy) {
  constexpr std::string_view digits = "0123456789abcdef";
  Entropy bytes = entropy;
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};  // the version
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};  // the variant
  text_.assign(36, '-');
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++at;
    text_[at++] = digits[std::to_integer<std::size_t>(bytes[i] >> 4)];
    text_[at++] = digits[std::to_integer<std::size_t>(bytes[i] & std::byte{0x0f})];
  }
}

}  // namespace redismutex::protocol
