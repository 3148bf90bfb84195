#include "protocol/key.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <new>
#include <span>
#include <stdexcept>
#include <string>

#include "protocol/slot.hpp"

namespace redismutex::protocol {
namespace {

/// What each name beside a key ends with, in parts: it puts the name into the key's slot. One of the parts is the key.
using Ending = std::array<std::string_view, 5>;
constexpr std::size_t key_in_ending = 3;

Ending ending_beside(std::string_view key) {
  if (hashed_part(key).size() < key.size()) return {":", "", "", key, ""};
  if (key.find('}') == std::string_view::npos) return {"{", "", "", key, "}"};
  return {"{", word_of(slot_of(key)), "}", key, ""};
}

std::size_t size_of(std::span<const std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  return size;
}

}  // namespace

Key::Key(std::string_view text) {
  if (text.empty()) throw std::invalid_argument{"the key is empty"};
  if (text.size() > max_size) {
    throw std::invalid_argument{"the key has " + std::to_string(text.size()) + " bytes, at most " +
                                std::to_string(max_size) + " are allowed"};
  }
  if (text.starts_with(prefix)) {
    throw std::invalid_argument{"the key begins with '" + std::string{prefix} +
                                "', as only the names that the library keeps beside keys may: choose another one"};
  }
  const Ending ending = ending_beside(text);
  const std::size_t ending_size = size_of(ending);
  const std::size_t size = prefix.size() + floor_prefix.size() + about_prefix.size() + 3 * ending_size;
  void* const block = ::operator new(sizeof(Names) + size);
  names_ = new (block) Names;
  char* to = static_cast<char*>(block) + sizeof(Names);
  const auto add = [&](std::string_view part) {
    char* const begin = to;
    to = std::copy(part.begin(), part.end(), to);
    return std::string_view{begin, part.size()};
  };
  const char* const line = add(prefix).data();
  for (const std::string_view part : ending) add(part);
  names_->line = std::string_view{line, prefix.size() + ending_size};
  const std::string_view whole_ending = names_->line.substr(prefix.size());
  const auto beside = [&](std::string_view beginning) {
    const char* const begin = add(beginning).data();
    add(whole_ending);
    return std::string_view{begin, beginning.size() + ending_size};
  };
  names_->floor = beside(floor_prefix);
  names_->about = beside(about_prefix);
  names_->text = names_->line.substr(prefix.size() + size_of(std::span{ending}.first(key_in_ending)), text.size());
  names_->hash = std::hash<std::string_view>{}(names_->text);
}

void Key::let_go() noexcept {
  // What others have read of it happens before it goes.
  if (names_->owners.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  names_->~Names();
  ::operator delete(names_);
}

std::optional<Key> key_beside(std::string_view name) {
  const std::string_view beginning = name.starts_with(Key::floor_prefix)   ? Key::floor_prefix
                                     : name.starts_with(Key::about_prefix) ? Key::about_prefix
                                                                           : Key::prefix;
  if (!name.starts_with(beginning)) return std::nullopt;
  const std::string_view rest = name.substr(beginning.size());
  const std::size_t closing = rest.find('}');
  std::string_view text;
  if (rest.starts_with(':')) {
    text = rest.substr(1);
  } else if (rest.starts_with('{') && closing != std::string_view::npos) {
    const bool is_in_braces = closing + 1 == rest.size();
    text = is_in_braces ? rest.substr(1, closing - 1) : rest.substr(closing + 1);
  }
  if (text.empty() || text.size() > Key::max_size || text.starts_with(Key::prefix)) return std::nullopt;
  Key key{text};
  if (name != key.line() && name != key.floor() && name != key.about()) return std::nullopt;
  return key;
}

}  // namespace redismutex::protocol
