#pragma once

#include <string>
#include <string_view>

namespace redismutex::protocol {

/// The user's key, exactly as given, and the name of the hash beside it that holds the queue.
class Key {
 public:
  static constexpr std::size_t max_size = 4096;

  /// Throws std::invalid_argument for an empty key, or one of more than max_size bytes.
  explicit Key(std::string_view text);

  const std::string& text() const noexcept { return text_; }

  /// `redismutex:{key}`, or `redismutex::key` where the key has a hash tag of its own: a different name for each key, and
  /// in the key's own slot of a cluster. (Of keys that contain a `}` but no tag no such name exists: they work on single
  /// servers only.) Source: Redis Cluster specification, "Hash tags".
  const std::string& queue() const noexcept { return queue_; }

 private:
  std::string text_;
  std::string queue_;
};

}  // namespace redismutex::protocol
