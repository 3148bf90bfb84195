#pragma once

#include "api/runtime.hpp"
#include "engine/lease.hpp"

namespace redismutex::api {

/// Writes what is still to be written of a label, for a lock that is left: nobody does once this process has ended. A server that is away
/// is not waited for. What keeps it from being written is told to the log.
void write_label(Runtime& runtime, const engine::Lease& lease, const engine::Lease::Left& left) noexcept;

}  // namespace redismutex::api
