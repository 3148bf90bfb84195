#pragma once

#include <memory>
#include <redismutex/connection.hpp>

#include "api/runtime.hpp"
#include "api/runtimes.hpp"

namespace redismutex::api {

/// How functions that are given a Connection reach what is behind it.
struct ConnectionAccess {
  /// This process's Runtime.
  static std::shared_ptr<Runtime> runtime(const Connection& connection) { return connection.runtimes_->present(); }
};

}  // namespace redismutex::api
