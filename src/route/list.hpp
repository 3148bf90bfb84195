#pragma once

#include "net/list.hpp"

namespace redismutex::route {

// For the engine, which does not include net.
using net::List;
using net::Listed;

}  // namespace redismutex::route
