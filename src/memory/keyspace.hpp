#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace redismutex::memory {

/// Members with a score each, in the order of the scores; of equal ones, in that of the members' bytes.
class SortedSet {
 public:
  using Places = std::set<std::pair<double, std::string>>;

  const double* score(const std::string& member) const {
    const auto place = scores_.find(member);
    return place == scores_.end() ? nullptr : &place->second;
  }

  /// Whether it is a new one; `changed` says whether anything is different now.
  bool add(const std::string& member, double score, bool& changed) {
    const auto [place, added] = scores_.try_emplace(member, score);
    if (!added && place->second == score) return false;
    if (!added) places_.erase({place->second, member});
    place->second = score;
    places_.insert({score, member});
    changed = true;
    return added;
  }

  bool remove(const std::string& member) {
    const auto place = scores_.find(member);
    if (place == scores_.end()) return false;
    places_.erase({place->second, member});
    scores_.erase(place);
    return true;
  }

  const Places& places() const noexcept { return places_; }
  bool empty() const noexcept { return places_.empty(); }

 private:
  std::map<std::string, double> scores_;
  Places places_;
};

/// Keys with values and expiries, as a Redis server keeps them: a key that has expired is gone for whoever looks, and is
/// deleted then.
class Keyspace {
 public:
  struct Entry {
    std::variant<std::string, SortedSet> value;
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

}  // namespace redismutex::memory
