#pragma once

#include <string>
#include <string_view>

namespace redismutex::protocol {

/// The user's key, exactly as given.
class Key {
 public:
  static constexpr std::size_t max_size = 4096;

  /// Throws std::invalid_argument for an empty key, or one of more than max_size bytes.
  explicit Key(std::string_view text);

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

}  // namespace redismutex::protocol
