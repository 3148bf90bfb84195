#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memory/arguments.hpp"
#include "memory/server.hpp"

// The commands on sorted sets.
namespace redismutex::memory {
namespace {

struct Found {
  SortedSet* set;  // none if there is no such key
  bool wrong_type;
};

Found set_at(Keyspace& keyspace, const std::string& key) {
  Keyspace::Entry* entry = keyspace.find(key);
  if (entry == nullptr) return {nullptr, false};
  auto* set = std::get_if<SortedSet>(&entry->value);
  return {set, set == nullptr};
}

std::optional<double> real(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || text.front() == ' ' || *end != '\0' || std::isnan(value)) return std::nullopt;
  return value;
}

struct Range {
  double least, most;
  bool above_least, below_most;  // these themselves are not meant

  bool begins_behind(double score) const { return above_least ? score <= least : score < least; }
  bool ends_before(double score) const { return below_most ? score >= most : score > most; }
};

std::optional<Range> range(const std::string& from, const std::string& to) {
  const bool above = from.starts_with("("), below = to.starts_with("(");
  const auto least = real(from.substr(above ? 1 : 0)), most = real(to.substr(below ? 1 : 0));
  if (!least || !most) return std::nullopt;
  return Range{*least, *most, above, below};
}

std::string digits(double score) {
  if (std::isinf(score)) return score > 0 ? "inf" : "-inf";
  return digits_of(score);
}

constexpr const char* not_a_float = "ERR value is not a valid float";
constexpr const char* no_range = "ERR min or max is not a float";

}  // namespace

/// Scripts are given scores as strings.
Value Server::score(double score) const { return in_script_ ? Value::bulk(digits(score)) : Value::real(digits(score)); }

/// Scripts are given a list without lists in it. `points`: none is wanted.
void Server::add_member(Value& list, const std::string& member, const double* points) const {
  if (points == nullptr) {
    list.elements.push_back(Value::bulk(member));
  } else if (in_script_) {
    list.elements.push_back(Value::bulk(member));
    list.elements.push_back(score(*points));
  } else {
    list.elements.push_back(Value::array({Value::bulk(member), score(*points)}));
  }
}

Value Server::zadd(const Arguments& arguments) {
  if (arguments.size() % 2 != 0) return complain("ERR syntax error");
  std::vector<double> scores;
  for (std::size_t i = 2; i < arguments.size(); i += 2) {
    const auto score = real(arguments[i]);
    if (!score) return Value::error(not_a_float);
    scores.push_back(*score);
  }
  auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  SortedSet fresh;
  const bool is_new = set == nullptr;
  if (is_new) set = &fresh;
  std::int64_t added = 0;
  bool changed = false;
  for (std::size_t i = 0; i < scores.size(); ++i) added += set->add(arguments[3 + 2 * i], scores[i], changed) ? 1 : 0;
  if (is_new) {
    keyspace_.set(arguments[1], {.value = std::move(fresh)});
  } else if (changed) {
    keyspace_.changed(arguments[1]);
  }
  return Value::number(added);
}

Value Server::zrem(const Arguments& arguments) {
  auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  if (set == nullptr) return Value::number(0);
  std::int64_t removed = 0;
  for (std::size_t i = 2; i < arguments.size(); ++i) removed += set->remove(arguments[i]) ? 1 : 0;
  if (set->empty()) {
    keyspace_.erase(arguments[1]);
  } else if (removed > 0) {
    keyspace_.changed(arguments[1]);
  }
  return Value::number(removed);
}

Value Server::zscore(const Arguments& arguments) {
  const auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  const double* found = set == nullptr ? nullptr : set->score(arguments[2]);
  return found == nullptr ? Value::nil() : score(*found);
}

Value Server::zcard(const Arguments& arguments) {
  const auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  return Value::number(set == nullptr ? 0 : static_cast<std::int64_t>(set->places().size()));
}

/// By rank.
Value Server::zrange(const Arguments& arguments) {
  const bool with_scores = arguments.size() == 5 && upper(arguments[4]) == "WITHSCORES";
  if (arguments.size() > 4 && !with_scores) return complain("ERR syntax error");
  auto from = integer(arguments[2]), to = integer(arguments[3]);
  if (!from || !to) return Value::error(not_an_integer);
  const auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  Value found = Value::array({});
  if (set == nullptr) return found;
  const auto count = static_cast<std::int64_t>(set->places().size());
  if (*from < 0) from = std::max<std::int64_t>(*from + count, 0);
  if (*to < 0) *to += count;
  std::int64_t rank = 0;
  for (const auto& [points, member] : set->places()) {
    if (rank > *to) break;
    if (rank++ < *from) continue;
    add_member(found, member, with_scores ? &points : nullptr);
  }
  return found;
}

Value Server::zrangebyscore(const Arguments& arguments) {
  const auto bounds = range(arguments[2], arguments[3]);
  if (!bounds) return Value::error(no_range);
  std::int64_t skip = 0, most = -1;
  bool with_scores = false;
  for (std::size_t i = 4; i < arguments.size();) {
    const std::string option = upper(arguments[i]);
    if (option == "WITHSCORES") {
      with_scores = true;
      i += 1;
    } else if (option == "LIMIT" && i + 2 < arguments.size()) {
      const auto offset = integer(arguments[i + 1]), count = integer(arguments[i + 2]);
      if (!offset || !count) return Value::error(not_an_integer);
      skip = *offset;
      most = *count;
      i += 3;
    } else {
      return complain("ERR syntax error");
    }
  }
  const auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  Value found = Value::array({});
  if (set == nullptr || skip < 0) return found;
  for (const auto& [points, member] : set->places()) {
    if (bounds->begins_behind(points)) continue;
    if (bounds->ends_before(points)) break;
    if (skip-- > 0) continue;
    if (most >= 0 && most-- == 0) break;
    add_member(found, member, with_scores ? &points : nullptr);
  }
  return found;
}

Value Server::zcount(const Arguments& arguments) {
  const auto bounds = range(arguments[2], arguments[3]);
  if (!bounds) return Value::error(no_range);
  const auto [set, is_other] = set_at(keyspace_, arguments[1]);
  if (is_other) return Value::error(wrong_type);
  std::int64_t count = 0;
  if (set == nullptr) return Value::number(count);
  for (const auto& place : set->places()) {
    if (!bounds->begins_behind(place.first) && !bounds->ends_before(place.first)) ++count;
  }
  return Value::number(count);
}

}  // namespace redismutex::memory
