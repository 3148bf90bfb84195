#pragma once

#include "protocol/key.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

/// Puts something beside the key that no client of this version would: by hand, by mistake, or by a newer version.
void litter(World& world, const protocol::Key& key);

}  // namespace redismutex::sim
