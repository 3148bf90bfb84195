#pragma once

#include "sim/simulation.hpp"

namespace redismutex::sim {

/// As simulate(), of a profile with several servers.
Result simulate_quorum(LuaHost& lua, const Setting& setting);

}  // namespace redismutex::sim
