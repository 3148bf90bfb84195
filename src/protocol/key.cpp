#include "protocol/key.hpp"

#include <stdexcept>

#include "protocol/slot.hpp"

namespace redismutex::protocol {
namespace {

/// What follows the prefix in the names beside a key.
std::string rest_of_name(std::string_view key) {
  std::string rest;
  rest.reserve(key.size() + 6);
  if (hashed_part(key).size() < key.size()) {
    rest.append(":").append(key);
  } else if (key.find('}') == std::string_view::npos) {
    rest.append("{").append(key).append("}");
  } else {
    rest.append("{").append(word_of(slot_of(key))).append("}").append(key);
  }
  return rest;
}

}  // namespace

Key::Key(std::string_view text) : text_{text} {
  if (text.empty()) throw std::invalid_argument{"the key is empty"};
  if (text.size() > max_size) {
    throw std::invalid_argument{"the key has " + std::to_string(text.size()) + " bytes, at most " +
                                std::to_string(max_size) + " are allowed"};
  }
  if (text.starts_with(prefix)) {
    throw std::invalid_argument{"the key begins with '" + std::string{prefix} +
                                "', as only the names that the library keeps beside keys may: choose another one"};
  }
  const std::string rest = rest_of_name(text);
  line_.append(prefix).append(rest);
  floor_.append(prefix).append("floor:").append(rest);
}

}  // namespace redismutex::protocol
