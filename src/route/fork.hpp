#pragma once

#include "net/fork.hpp"

namespace redismutex::route {

/// For the engine, which does not include net: whether this process is another one than that which made an object.
using net::fork_generation;

}  // namespace redismutex::route
