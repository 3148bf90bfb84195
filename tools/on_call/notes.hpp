#pragma once

#include <redismutex/inspection.hpp>
#include <span>

namespace redismutex::cli {

/// Says, on standard error, what could not be shown because the server's user lacks rights.
void say_missing_rights(std::span<const Inspection> seen);

}  // namespace redismutex::cli
