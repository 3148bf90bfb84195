#pragma once

#include "api/runtime.hpp"
#include "engine/lease.hpp"

namespace redismutex::api {

/// Writes the label of a lock that is left, behind those that are under way. A server that is away is not waited for. What keeps it from
/// being written is told to the log.
void write_label(Runtime& runtime, engine::Lease& lease, const engine::Lease::Left& left) noexcept;

}  // namespace redismutex::api
