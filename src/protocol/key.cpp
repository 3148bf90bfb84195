#include "protocol/key.hpp"

#include <stdexcept>

namespace redismutex::protocol {
namespace {

bool has_hash_tag(std::string_view text) {
  const auto opening = text.find('{');
  if (opening == std::string_view::npos) return false;
  const auto closing = text.find('}', opening);
  return closing != std::string_view::npos && closing > opening + 1;
}

}  // namespace

Key::Key(std::string_view text) : text_{text} {
  if (text.empty()) throw std::invalid_argument{"the key is empty"};
  if (text.size() > max_size) {
    throw std::invalid_argument{"the key has " + std::to_string(text.size()) + " bytes, at most " +
                                std::to_string(max_size) + " are allowed"};
  }
  queue_.reserve(text.size() + 13);
  if (has_hash_tag(text)) {
    queue_.append("redismutex::").append(text);
  } else {
    queue_.append("redismutex:{").append(text).append("}");
  }
}

}  // namespace redismutex::protocol
