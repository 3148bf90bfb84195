#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace redismutex::protocol {

/// What the ids and the connections of one process have in common, as far as they belong to one Connection: 40 bits.
struct Tag {
  std::uint64_t bits = 0;

  /// Ten hexadecimal digits.
  std::string text() const;

  friend bool operator==(const Tag&, const Tag&) = default;
};

/// Of a connection that the server knows by this number: the last 24 bits of it, and 16 random bits. 0: it has none known,
/// so all 40 bits are random.
Tag make_tag(std::int64_t client_id, std::uint64_t random);

/// Who holds a lock: a UUID, one for each acquisition, stored as the value of the key. It is compared as bytes only; for
/// people it also tells where it comes from, and since when.
class OwnerId {
 public:
  /// What it is made of. Of each number the last bits count.
  struct Parts {
    Tag tag;
    std::chrono::milliseconds asked_at{0};  ///< since 1970; 42 bits, which last until 2109
    std::uint64_t random = 0;               ///< 40 bits
  };

  /// A version 4 UUID in its usual form (RFC 9562, section 5.4). The 122 bits that this leaves are, from the left, those of
  /// the parts: so the tag is its first ten digits, and the random bits are its last ten.
  explicit OwnerId(const Parts& parts);

  static constexpr std::size_t size = 36;
  std::string_view text() const noexcept { return {text_.data(), text_.size()}; }

 private:
  std::array<char, size> text_;
};

/// The parts of an id. None if the text does not have the form of one. (A UUID of somebody else's may have it.)
std::optional<OwnerId::Parts> read_owner_id(std::string_view text);

}  // namespace redismutex::protocol
