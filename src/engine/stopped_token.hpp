#pragma once

#include <stop_token>

namespace redismutex::engine {

/// A token that has stopped already: for a lock that is lost, or that counts as lost because nobody could be told of its loss. Needs no
/// memory.
std::stop_token stopped_token() noexcept;

}  // namespace redismutex::engine
