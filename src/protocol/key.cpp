#include "protocol/key.hpp"

#include <stdexcept>

#include "protocol/slot.hpp"

namespace redismutex::protocol {
namespace {

/// A name beside a key: what it begins with, and the rest, which puts it into the key's slot.
std::string name_beside(std::string_view key, std::string_view beginning) {
  std::string name;
  name.reserve(beginning.size() + key.size() + 6);
  name.append(beginning);
  if (hashed_part(key).size() < key.size()) {
    name.append(":").append(key);
  } else if (key.find('}') == std::string_view::npos) {
    name.append("{").append(key).append("}");
  } else {
    name.append("{").append(word_of(slot_of(key))).append("}").append(key);
  }
  return name;
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
  names_ = std::make_shared<const Names>(
      Names{.text = std::string{text}, .line = name_beside(text, prefix), .floor = name_beside(text, floor_prefix)});
}

}  // namespace redismutex::protocol
