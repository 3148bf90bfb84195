#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace redismutex::protocol {

/// Who holds a lock: a random UUID, one for each acquisition, stored as the value of the key.
class OwnerId {
 public:
  using Entropy = std::array<std::byte, 16>;

  /// A version 4 UUID in its usual form (RFC 9562, section 5.4): 122 of the random bits remain.
  explicit OwnerId(const Entropy& entropy);

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

}  // namespace redismutex::protocol
