#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace redismutex::sim {

/// Strings and hashes with expiries, as a Redis server keeps them: a key that has expired is gone for whoever looks, and
/// is deleted then.
class Keyspace {
 public:
  using Hash = std::map<std::string, std::string>;

  struct Entry {
    std::variant<std::string, Hash> value;
    std::optional<std::int64_t> expires_at_ms = {};
  };

  /// Told of each key that is changed or deleted, by its own time too.
  using OnChange = std::function<void(const std::string& key)>;

  explicit Keyspace(OnChange on_change) : on_change_{std::move(on_change)} {}

  /// The server's clock. During a script it stands still.
  void set_now(std::int64_t ms) { now_ms_ = ms; }
  std::int64_t now_ms() const noexcept { return now_ms_; }

  /// Of a replica: what has expired is gone for whoever looks, but is deleted by the master only.
  void obey_master() { obeys_master_ = true; }

  /// None if there is no such key, or none any more.
  Entry* find(const std::string& key);

  /// As it is stored, expired or not.
  const Entry* peek(const std::string& key) const;

  void set(const std::string& key, Entry entry);
  bool erase(const std::string& key);
  void remove(const std::string& key);  ///< expired or not
  void changed(const std::string& key) { on_change_(key); }
  void clear();

  /// Has the other's keys from now on, and no others.
  void take_over(const Keyspace& other);

  std::vector<std::string> keys() const;

 private:
  const OnChange on_change_;
  std::int64_t now_ms_ = 0;
  bool obeys_master_ = false;
  std::map<std::string, Entry> entries_;
};

}  // namespace redismutex::sim
