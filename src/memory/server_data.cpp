#include <fnmatch.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "memory/arguments.hpp"
#include "memory/server.hpp"

// The commands on keys of all types, and on strings.
namespace redismutex::memory {
namespace {

const std::string* as_text(const Keyspace::Entry* entry) {
  return entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value);
}

}  // namespace

Value Server::get(const Arguments& arguments) {
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::nil();
  const std::string* text = as_text(entry);
  return text == nullptr ? Value::error(wrong_type) : Value::bulk(*text);
}

Value Server::set(const Arguments& arguments) {
  bool only_new = false, only_old = false, returns_old = false;
  std::optional<std::int64_t> expiry;
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    const std::string option = upper(arguments[i]);
    if (option == "NX") {
      only_new = true;
    } else if (option == "XX") {
      only_old = true;
    } else if (option == "GET") {
      returns_old = true;
    } else if (option == "PX" && i + 1 < arguments.size()) {
      expiry = integer(arguments[++i]);
      if (!expiry) return Value::error(not_an_integer);
      if (*expiry <= 0) return Value::error("ERR invalid expire time in 'set' command");
    } else {
      return complain("ERR syntax error");
    }
  }
  if ((only_new && only_old) || (returns_old && conduct_.before_7_0)) return complain("ERR syntax error");
  const Keyspace::Entry* old = keyspace_.find(arguments[1]);
  if (returns_old && old != nullptr && as_text(old) == nullptr) return Value::error(wrong_type);
  Value before = returns_old && old != nullptr ? Value::bulk(*as_text(old)) : Value::nil();
  if ((only_new && old != nullptr) || (only_old && old == nullptr)) return before;
  Keyspace::Entry entry{.value = arguments[2]};
  if (expiry) entry.expires_at_ms = keyspace_.now_ms() + *expiry;
  keyspace_.set(arguments[1], std::move(entry));
  return returns_old ? before : Value::status("OK");
}

Value Server::psetex(const Arguments& arguments) {
  const auto expiry = integer(arguments[2]);
  if (!expiry) return Value::error(not_an_integer);
  if (*expiry <= 0) return Value::error("ERR invalid expire time in 'psetex' command");
  keyspace_.set(arguments[1], {.value = arguments[3], .expires_at_ms = keyspace_.now_ms() + *expiry});
  return Value::status("OK");
}

Value Server::delifeq(const Arguments& arguments) {
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::number(0);
  const std::string* text = as_text(entry);
  if (text == nullptr) return Value::error(wrong_type);
  return Value::number(*text == arguments[2] && keyspace_.erase(arguments[1]) ? 1 : 0);
}

Value Server::delex(const Arguments& arguments) {
  if (arguments.size() != 4 || upper(arguments[2]) != "IFEQ") return complain("ERR syntax error");
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::number(0);
  const std::string* text = as_text(entry);
  if (text == nullptr) return Value::error("ERR Key should be of string type if conditions are specified");
  return Value::number(*text == arguments[3] && keyspace_.erase(arguments[1]) ? 1 : 0);
}

Value Server::del(const Arguments& arguments) {
  return Value::number(std::count_if(arguments.begin() + 1, arguments.end(),
                                     [this](const std::string& key) { return keyspace_.erase(key); }));
}

Value Server::exists(const Arguments& arguments) {
  return Value::number(std::count_if(arguments.begin() + 1, arguments.end(),
                                     [this](const std::string& key) { return keyspace_.find(key) != nullptr; }));
}

Value Server::getrange(const Arguments& arguments) {
  const auto from = integer(arguments[2]), to = integer(arguments[3]);
  if (!from || !to) return Value::error(not_an_integer);
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::bulk("");
  const std::string* text = as_text(entry);
  if (text == nullptr) return Value::error(wrong_type);
  const auto size = static_cast<std::int64_t>(text->size());
  if (*from < 0 && *to < 0 && *from > *to) return Value::bulk("");
  const std::int64_t first = std::max<std::int64_t>(*from < 0 ? *from + size : *from, 0);
  const std::int64_t last = std::min(std::max<std::int64_t>(*to < 0 ? *to + size : *to, 0), size - 1);
  if (first > last) return Value::bulk("");
  return Value::bulk(text->substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)));
}

Value Server::strlen(const Arguments& arguments) {
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::number(0);
  const std::string* text = as_text(entry);
  return text == nullptr ? Value::error(wrong_type) : Value::number(static_cast<std::int64_t>(text->size()));
}

Value Server::type(const Arguments& arguments) {
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::status("none");
  return Value::status(as_text(entry) == nullptr ? "zset" : "string");
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]: all keys in one page, whatever the count.
Value Server::scan(const Arguments& arguments) {
  std::string pattern = "*", type;
  for (std::size_t i = 2; i < arguments.size(); i += 2) {
    const std::string option = upper(arguments[i]);
    if (i + 1 == arguments.size() || (option != "MATCH" && option != "COUNT" && option != "TYPE")) {
      return complain("ERR syntax error");
    }
    if (option == "MATCH") pattern = arguments[i + 1];
    if (option == "TYPE") type = arguments[i + 1];
  }
  Value found = Value::array({});
  for (const std::string& key : keyspace_.keys()) {
    const Keyspace::Entry* entry = keyspace_.find(key);
    if (entry == nullptr || ::fnmatch(pattern.c_str(), key.c_str(), 0) != 0) continue;
    if (!type.empty() && type != (as_text(entry) == nullptr ? "zset" : "string")) continue;
    found.elements.push_back(Value::bulk(key));
  }
  return Value::array({Value::bulk("0"), std::move(found)});
}

Value Server::dbsize(const Arguments& /*arguments*/) {
  return Value::number(static_cast<std::int64_t>(keyspace_.keys().size()));
}

Value Server::pexpire(const Arguments& arguments) {
  const auto expiry = integer(arguments[2]);
  if (!expiry) return Value::error(not_an_integer);
  const bool only_longer = arguments.size() == 4 && upper(arguments[3]) == "GT";
  if (arguments.size() > 3 && !only_longer) return Value::error("ERR Unsupported option " + arguments[3]);
  Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::number(0);
  // What never expires lives longer than anything.
  const std::int64_t present = entry->expires_at_ms.value_or(std::numeric_limits<std::int64_t>::max());
  if (only_longer && keyspace_.now_ms() + *expiry <= present) return Value::number(0);
  if (*expiry <= 0) {
    keyspace_.erase(arguments[1]);
  } else {
    entry->expires_at_ms = keyspace_.now_ms() + *expiry;
    keyspace_.changed(arguments[1]);
  }
  return Value::number(1);
}

Value Server::pttl(const Arguments& arguments) {
  const Keyspace::Entry* entry = keyspace_.find(arguments[1]);
  if (entry == nullptr) return Value::number(-2);
  return Value::number(entry->expires_at_ms ? std::max<std::int64_t>(*entry->expires_at_ms - keyspace_.now_ms(), 0)
                                            : -1);
}

}  // namespace redismutex::memory
