#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace redismutex::protocol {

/// The user's key, exactly as given, and the names of what stands beside it on the server.
///
/// Each name belongs to one key only, and to the key's own slot of a cluster, so that scripts may use them together. Copies share
/// the texts.
class Key {
 public:
  static constexpr std::size_t max_size = 4096;

  /// What the names beside a key begin with. No user's key does.
  static constexpr std::string_view prefix = "redismutex:";
  static constexpr std::string_view floor_prefix = "redismutex:floor:";

  /// Throws std::invalid_argument for an empty key, one of more than max_size bytes, or one that begins with `prefix`.
  explicit Key(std::string_view text);

  const std::string& text() const noexcept { return names_->text; }

  /// Where those stand who wait for the lock, see lua/line.lua: `redismutex:{key}`; `redismutex::key` where the key has a
  /// hash tag of its own; `redismutex:{word}key` where it has none but a `}`, which would end ours too soon: the word is the
  /// first one in the key's slot.
  const std::string& line() const noexcept { return names_->line; }

  /// The highest fencing token that has to be remembered: the same with `redismutex:floor:` in front.
  const std::string& floor() const noexcept { return names_->floor; }

 private:
  struct Names {
    std::string text;
    std::string line;
    std::string floor;
  };
  std::shared_ptr<const Names> names_;
};

}  // namespace redismutex::protocol
