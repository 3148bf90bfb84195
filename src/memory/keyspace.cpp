#include "memory/keyspace.hpp"

#include <utility>

namespace redismutex::memory {

Keyspace::Entry* Keyspace::find(const std::string& key) {
  const auto place = entries_.find(key);
  if (place == entries_.end()) return nullptr;
  // A key lives through the millisecond that its expiry names: keyIsExpired() in Redis's db.c.
  if (!place->second.expires_at_ms || now_ms_ <= *place->second.expires_at_ms) return &place->second;
  if (obeys_master_) return nullptr;
  entries_.erase(place);
  on_change_(key);
  return nullptr;
}

const Keyspace::Entry* Keyspace::peek(const std::string& key) const {
  const auto place = entries_.find(key);
  return place == entries_.end() ? nullptr : &place->second;
}

void Keyspace::set(const std::string& key, Entry entry) {
  entries_[key] = std::move(entry);
  changed(key);
}

bool Keyspace::erase(const std::string& key) {
  if (find(key) == nullptr) return false;
  remove(key);
  return true;
}

void Keyspace::remove(const std::string& key) {
  if (entries_.erase(key) > 0) changed(key);
}

void Keyspace::clear() {
  const auto all = keys();
  entries_.clear();
  for (const std::string& key : all) changed(key);
}

void Keyspace::take_over(const Keyspace& other) {
  clear();
  entries_ = other.entries_;
  for (const std::string& key : keys()) changed(key);
}

std::vector<std::string> Keyspace::keys() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& entry : entries_) names.push_back(entry.first);
  return names;
}

}  // namespace redismutex::memory
