#pragma once

#include <redismutex/async.hpp>
#include <utility>

namespace redismutex::api {

/// For those who take locks.
struct AsyncLockAccess {
  static AsyncLock make(Lock lock, Executor executor) { return AsyncLock{std::move(lock), std::move(executor)}; }
};

}  // namespace redismutex::api
