#pragma once

#include <memory>

#include "net/greeting.hpp"
#include "net/stream.hpp"
#include "net/wire.hpp"

namespace redismutex::net {

/// A connection that a server has let us into. The names may still be on their way, see tell_names().
struct LoggedIn {
  std::unique_ptr<Stream> stream;
  Wire wire;
  Greeting greeting;
};

}  // namespace redismutex::net
