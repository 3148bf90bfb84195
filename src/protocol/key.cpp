#include "protocol/key.hpp"

#include <stdexcept>

namespace redismutex::protocol {

Key::Key(std::string_view text) : text_{text} {
  if (text.empty()) throw std::invalid_argument{"the key is empty"};
  if (text.size() > max_size) {
    throw std::invalid_argument{"the key has " + std::to_string(text.size()) + " bytes, at most " +
                                std::to_string(max_size) + " are allowed"};
  }
}

}  // namespace redismutex::protocol
