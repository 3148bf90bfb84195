#pragma once

#include <optional>
#include <string>
#include <vector>

#include "memory/value.hpp"

namespace redismutex::memory {

/// Takes the first command off `bytes`, as clients send them: an array of bulk strings. None: it is not all there yet. Throws
/// std::invalid_argument, with the answer that a server gives, for what is none.
std::optional<std::vector<std::string>> take_command(std::string& bytes);

/// Appends what the server sends, in RESP3.
void append(std::string& bytes, const Value& value);

}  // namespace redismutex::memory
