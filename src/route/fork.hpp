#pragma once

#include "net/fork.hpp"

namespace redismutex::route {

using net::fork_generation;

}  // namespace redismutex::route
