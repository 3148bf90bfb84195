#pragma once

#include <string_view>

#include "api/runtime.hpp"
#include "engine/lease.hpp"
#include "protocol/key.hpp"

namespace redismutex::api {

/// Tells the log that the label of a lock that is left could not be written. Throws std::bad_alloc.
void tell_of_label(Runtime& runtime, const protocol::Key& key, std::string_view why);

/// Writes the label of a lock that is left, behind those that are under way. A server that is away is not waited for. What keeps it from
/// being written is told to the log.
void write_label(Runtime& runtime, engine::Lease& lease, const engine::Lease::Left& left) noexcept;

}  // namespace redismutex::api
