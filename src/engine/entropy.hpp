#pragma once

#include "protocol/owner_id.hpp"

namespace redismutex::engine {

/// An id that no other process, thread or child has, from the operating system's generator. Throws std::system_error if
/// that has nothing to give.
protocol::OwnerId random_owner_id();

}  // namespace redismutex::engine
