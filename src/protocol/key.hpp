#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace redismutex::protocol {

/// The user's key, exactly as given, and the names of what stands beside it on the server.
///
/// Each name belongs to one key only, and to the key's own slot of a cluster, so that scripts may use them together.
///
/// All of it is one block of memory, which copies share: the views stay valid as long as any of them is there. A copy needs no
/// memory, and may be made and destroyed by any thread. One that was moved from may only be assigned to, and destroyed.
class Key {
 public:
  static constexpr std::size_t max_size = 4096;

  /// What the names beside a key begin with. No user's key does.
  static constexpr std::string_view prefix = "redismutex:";
  static constexpr std::string_view floor_prefix = "redismutex:floor:";
  static constexpr std::string_view about_prefix = "redismutex:about:";

  /// Throws std::invalid_argument for an empty key, one of more than max_size bytes, or one that begins with `prefix`.
  explicit Key(std::string_view text);

  Key(const Key& other) noexcept : names_{other.names_} {
    if (names_ != nullptr) names_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  Key(Key&& other) noexcept : names_{std::exchange(other.names_, nullptr)} {}
  Key& operator=(const Key& other) noexcept {
    Key copy{other};
    std::swap(names_, copy.names_);
    return *this;
  }
  Key& operator=(Key&& other) noexcept {
    std::swap(names_, other.names_);
    return *this;
  }
  ~Key() {
    if (names_ != nullptr) let_go();
  }

  std::string_view text() const noexcept { return names_->text; }
  friend bool operator==(const Key& one, const Key& other) noexcept { return one.text() == other.text(); }

  /// For unordered containers, which then need not go through the text each time.
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept { return key.names_->hash; }
  };

  /// Where those stand who wait for the lock, see lua/line.lua: `redismutex:{key}`; `redismutex::key` where the key has a
  /// hash tag of its own; `redismutex:{word}key` where it has none but a `}`, which would end ours too soon: the word is the
  /// first one in the key's slot.
  std::string_view line() const noexcept { return names_->line; }

  /// The highest fencing token that has to be remembered: the same with `redismutex:floor:` in front.
  std::string_view floor() const noexcept { return names_->floor; }

  /// The label, which few locks have: the same with `redismutex:about:` in front.
  std::string_view about() const noexcept { return names_->about; }

 private:
  // The characters follow it in the same block.
  struct Names {
    std::atomic<std::uint32_t> owners{1};
    std::size_t hash = 0;  // of the text
    std::string_view text, line, floor, about;
  };

  void let_go() noexcept;

  Names* names_;
};

/// The key beside which this name stands: a line, a floor or a label. None if it is no such name.
std::optional<Key> key_beside(std::string_view name);

}  // namespace redismutex::protocol
