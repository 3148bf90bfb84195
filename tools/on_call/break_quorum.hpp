#pragma once

#include <redismutex/connection_options.hpp>
#include <vector>

#include "to_break.hpp"

namespace redismutex::cli {

/// `redismutex break` at a quorum. Returns the exit status.
int break_at_quorum(const ToBreak& what, const std::vector<ConnectionOptions>& servers);

}  // namespace redismutex::cli
